internal import CPostgres
internal import Encoding
internal import Glibc

/// The connection parameters for libpq: the user's URL, and our defaults for settings that the URL omits.
///
/// They contain the password. No error contains any part of it.
struct PostgresParameters: Sendable, Redacted {
  private var settings: [String: String]

  /// The timeout for one host; libpq tries the URL's hosts one after another.
  static let connectTimeoutSeconds = 3
  /// How long sent data may stay unacknowledged before the system drops the connection.
  static let tcpUserTimeoutMilliseconds = 5000
  /// TCP keepalive: seconds of silence before the first probe, seconds between probes, and number of probes.
  static let (keepaliveIdleSeconds, keepaliveIntervalSeconds, keepaliveCount) = (5, 2, 3)

  private static let defaults = [
    "application_name": "device-registry",
    "connect_timeout": "\(connectTimeoutSeconds)",
    "tcp_user_timeout": "\(tcpUserTimeoutMilliseconds)",
    "keepalives_idle": "\(keepaliveIdleSeconds)",
    "keepalives_interval": "\(keepaliveIntervalSeconds)",
    "keepalives_count": "\(keepaliveCount)",
  ]

  /// Expressions for a SELECT that set the same TCP timeouts on the server. By default a server takes hours to
  /// notice an unreachable client, and until then the session keeps its locks and its connection slot. Unix
  /// sockets ignore these settings.
  static let serverSideSetup = """
    set_config('tcp_user_timeout', '\(tcpUserTimeoutMilliseconds)', false),
    set_config('tcp_keepalives_idle', '\(keepaliveIdleSeconds)', false),
    set_config('tcp_keepalives_interval', '\(keepaliveIntervalSeconds)', false),
    set_config('tcp_keepalives_count', '\(keepaliveCount)', false)
    """

  /// Reads any URL or connection string that libpq accepts.
  init(url: String) throws(PostgresURLError) {
    guard let options = PQconninfoParse(url, nil) else { throw PostgresURLError() }
    defer { PQconninfoFree(options) }
    settings = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val { settings[String(cString: keyword)] = String(cString: value) }
      option += 1
    }
    // libpq's error message quotes an invalid port, which in a badly escaped URL is part of the password.
    let ports = settings["port", default: ""].split(separator: ",")
    guard ports.allSatisfy({ (1...65535).contains(Int($0) ?? 0) }) else { throw PostgresURLError() }
    settings.merge(Self.defaults) { given, _ in given }
    // libpq reads 0 as no limit; every wait here has one.
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

  /// Calls `body` with the keywords and values for `PQconnectdbParams`, each array ended by a null pointer.
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

/// libpq does not accept the database URL. The description gives no detail, which could contain part of the
/// password.
public struct PostgresURLError: Error, CustomStringConvertible {
  public var description: String {
    "not a PostgreSQL URL of the form postgresql://user:password@host:port/database "
      + "(in the password, write special characters as %XX)"
  }
}
