internal import CPostgres
internal import Encoding
internal import Glibc

/// What libpq is told to connect with: the user's URL, and our defaults where the URL leaves a setting open.
///
/// It holds the password, of which no error carries any part.
struct PostgresParameters: Sendable, Redacted {
  private var settings: [String: String]

  /// Seconds for one host to answer; libpq tries the URL's hosts in turn.
  static let connectTimeoutSeconds = 3
  /// How long sent bytes may stay unacknowledged before the system gives the connection up.
  static let tcpUserTimeoutMilliseconds = 5000
  /// After so many seconds of silence the system asks whether the other side is still there, again after so many, so
  /// many times in all.
  static let (keepaliveIdleSeconds, keepaliveIntervalSeconds, keepaliveCount) = (5, 2, 3)

  private static let defaults = [
    "application_name": "device-registry",
    "connect_timeout": "\(connectTimeoutSeconds)",
    "tcp_user_timeout": "\(tcpUserTimeoutMilliseconds)",
    "keepalives_idle": "\(keepaliveIdleSeconds)",
    "keepalives_interval": "\(keepaliveIntervalSeconds)",
    "keepalives_count": "\(keepaliveCount)",
  ]

  /// Sets the same on the server's side of a session; expressions for a SELECT. Left to itself, a server takes hours to
  /// notice that the other side is out of reach, and until then the session keeps its locks and its place among the
  /// connections that there may be. On Unix sockets these settings mean nothing.
  static let serverSideSetup = """
    set_config('tcp_user_timeout', '\(tcpUserTimeoutMilliseconds)', false),
    set_config('tcp_keepalives_idle', '\(keepaliveIdleSeconds)', false),
    set_config('tcp_keepalives_interval', '\(keepaliveIntervalSeconds)', false),
    set_config('tcp_keepalives_count', '\(keepaliveCount)', false)
    """

  /// Reads any URL or connection string that libpq reads.
  init(url: String) throws(PostgresURLError) {
    guard let options = PQconninfoParse(url, nil) else { throw PostgresURLError() }
    defer { PQconninfoFree(options) }
    settings = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val { settings[String(cString: keyword)] = String(cString: value) }
      option += 1
    }
    // libpq repeats a wrong port in its message, and in a badly escaped URL that is part of the password.
    let ports = settings["port", default: ""].split(separator: ",")
    guard ports.allSatisfy({ (1...65535).contains(Int($0) ?? 0) }) else { throw PostgresURLError() }
    settings.merge(Self.defaults) { given, _ in given }
    // For libpq, 0 is no limit, and every wait has one here.
    if (settings["connect_timeout"].flatMap { Int($0) } ?? 0) <= 0 {
      settings["connect_timeout"] = "\(Self.connectTimeoutSeconds)"
    }
    let hosts = settings["hostaddr"] ?? settings["host"] ?? ""
    if hosts.contains(","), settings["target_session_attrs"] == nil {
      settings["target_session_attrs"] = "read-write"
    }
    settings["client_encoding"] = "UTF8"
  }

  subscript(keyword: String) -> String? { settings[keyword] }

  /// Lends what `PQconnectdbParams` takes: keywords and values, each ended by a null pointer.
  func withKeywordsAndValues<Result>(
    _ body: ([UnsafePointer<CChar>?], [UnsafePointer<CChar>?]) -> Result
  ) -> Result {
    let pairs = settings.map { (strdup($0.key)!, strdup($0.value)!) }
    defer {
      for (keyword, value) in pairs {
        free(keyword)
        explicit_bzero(value, strlen(value))
        free(value)
      }
    }
    return body(
      pairs.map { UnsafePointer($0.0) } + [nil], pairs.map { UnsafePointer($0.1) } + [nil])
  }
}

/// The database's URL is not one that libpq reads. It does not say what is wrong with it, since that could be
/// a piece of the password.
public struct PostgresURLError: Error, CustomStringConvertible {
  public var description: String {
    "not a PostgreSQL URL of the form postgresql://user:password@host:port/database "
      + "(in the password, write special characters as %XX)"
  }
}
