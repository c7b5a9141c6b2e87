internal import Glibc

/// Where to listen: `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`.
public struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
  public let host: String
  public let port: UInt16

  /// Nil if the text is not of the form.
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
      return nil
    }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty else { return nil }
    self.init(host: String(host), port: port)
  }

  init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Whether only this machine can reach it: the name `localhost`, ::1, or an address of 127.0.0.0/8.
  var isLoopback: Bool {
    var address = in_addr()
    let isIPv4 = inet_pton(AF_INET, host, &address) == 1
    return host == "localhost" || host == "::1" || isIPv4 && UInt32(bigEndian: address.s_addr) >> 24 == 127
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// An origin (RFC 6454): a scheme and an authority, and nothing else.
public struct Origin: Hashable, Sendable, CustomStringConvertible {
  public let scheme: String
  /// Host and port, lower case, the scheme's own port left out.
  public let authority: String

  /// Nil if the text is not `http://HOST[:PORT]` or `https://HOST[:PORT]`; one `/` may stand behind it.
  init?(_ text: String) {
    let text = text.lowercased()
    guard let scheme = ["https", "http"].first(where: { text.hasPrefix($0 + "://") }) else { return nil }
    var authority = text.dropFirst(scheme.count + 3)
    if authority.hasSuffix("/") { authority = authority.dropLast() }
    let ownPort = scheme == "https" ? ":443" : ":80"
    if authority.hasSuffix(ownPort) { authority = authority.dropLast(ownPort.count) }
    let forbidden: [Character] = ["/", "?", "#", "@", " ", "\\"]
    guard !authority.isEmpty, !authority.contains(where: { forbidden.contains($0) || !$0.isASCII }) else {
      return nil
    }
    self.scheme = scheme
    self.authority = String(authority)
  }

  public var description: String { "\(scheme)://\(authority)" }
}

/// Which database, and where. Prints without what may hold a password.
public enum DatabaseURL: Hashable, Sendable, CustomStringConvertible {
  /// The path of an SQLite file.
  case sqlite(path: String)
  /// A connection URI of libpq.
  case postgres(url: String)

  /// Nil if the text is neither.
  init?(_ text: String) {
    if text.hasPrefix("sqlite:") {
      let path = String(text.dropFirst("sqlite:".count))
      // SQLite reads these as no file, or as a URI of its own.
      guard !path.isEmpty, !path.hasPrefix(":"), !path.hasPrefix("file:") else { return nil }
      self = .sqlite(path: path)
    } else if text.hasPrefix("postgresql://") || text.hasPrefix("postgres://") {
      self = .postgres(url: text)
    } else {
      return nil
    }
  }

  public var description: String {
    switch self {
    case .sqlite(let path): "sqlite:\(path)"
    case .postgres: "postgresql"
    }
  }
}
