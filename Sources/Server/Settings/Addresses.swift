internal import Encoding
internal import Glibc
internal import HTTP
internal import RedisReplayStore

/// An address to listen on: `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`.
public struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
  public let host: String
  public let port: UInt16

  /// Nil if the text is malformed.
  init?(_ text: String) {
    guard let authority = Authority(text[...]), let port = authority.port else { return nil }
    self.init(host: authority.host, port: port)
  }

  init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// The addresses that a listener has bound, at least one.
  static func all(of listener: Listener) -> [ListenAddress] {
    listener.addresses.map { ListenAddress(host: $0, port: listener.port) }
  }

  /// Whether only this machine can reach it: the name `localhost`, ::1, or an address of 127.0.0.0/8.
  var isLoopback: Bool {
    var address = in_addr()
    let isIPv4 = inet_pton(AF_INET, host, &address) == 1
    return host == "localhost" || host == "::1" || isIPv4 && UInt32(bigEndian: address.s_addr) >> 24 == 127
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// An origin (RFC 6454): a scheme and an authority.
public struct Origin: Hashable, Sendable, CustomStringConvertible {
  public let scheme: String
  /// Host and port in lower case, without the scheme's default port.
  public let authority: String

  /// Nil if the text is not `http://HOST[:PORT]` or `https://HOST[:PORT]`; one `/` may follow.
  init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let scheme = ["https", "http"].first(where: { $0 == parts[0].lowercased() }),
      parts[1].utf8.starts(with: "//".utf8)
    else { return nil }
    var rest = parts[1].dropFirst(2)
    if rest.utf8.last == UInt8(ascii: "/") { rest.removeLast() }
    guard let authority = Authority(rest) else { return nil }
    self.scheme = scheme
    self.authority = authority.text(withoutPort: scheme == "https" ? 443 : 80).lowercased()
  }

  public var description: String { "\(scheme)://\(authority)" }
}

/// A host and an optional port (RFC 3986, section 3.2).
private struct Authority {
  /// An IPv6 address without its brackets.
  let host: String
  let port: UInt16?

  /// Nil if the text is not `HOST`, `HOST:PORT`, or the same with an IPv6 address in brackets as the host.
  init?(_ text: Substring) {
    var host = text
    var port: UInt16?
    if let colon = text.lastIndex(of: ":"), text.utf8.last != UInt8(ascii: "]") {
      let digits = text[text.index(after: colon)...]
      guard let number = DecimalText.read(digits, in: 0...Int(UInt16.max)) else { return nil }
      port = UInt16(number)
      host = text[..<colon]
    }
    let isBracketed = host.utf8.first == UInt8(ascii: "[") && host.utf8.last == UInt8(ascii: "]")
    if isBracketed { host = host.dropFirst().dropLast() }
    // Only IPv6 addresses have colons, and only in brackets.
    guard !host.isEmpty, host.utf8.allSatisfy(Self.isHostByte), host.contains(":") == isBracketed else {
      return nil
    }
    self.host = String(host)
    self.port = port
  }

  /// The form in a URL, without the default port.
  func text(withoutPort defaultPort: UInt16) -> String {
    let host = host.contains(":") ? "[\(host)]" : host
    return port.map { $0 == defaultPort ? host : "\(host):\($0)" } ?? host
  }

  /// Visible ASCII without the delimiters of an authority.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    (0x21...0x7E).contains(byte) && !"/?#@[]\\".utf8.contains(byte)
  }
}

/// The kind and place of the database. Prints without the part that may contain a password.
public enum DatabaseURL: Hashable, Sendable, CustomStringConvertible {
  /// The path of an SQLite file.
  case sqlite(path: String)
  /// A connection URI of libpq.
  case postgres(url: String)

  /// Nil if the text is neither.
  init?(_ text: String) {
    if text.hasPrefix("sqlite:") {
      let path = String(text.dropFirst("sqlite:".count))
      // SQLite reads these as no file, or as a URI.
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

/// Where the nonces of signed requests are stored.
public enum ReplayStoreSetting: Hashable, Sendable {
  /// In this process, which must then be the only one that serves the database.
  case memory
  /// In Redis, which all processes on the database share.
  case redis(url: String)

  /// Nil if the text is neither.
  init?(_ text: String) {
    if text == "memory" {
      self = .memory
    } else if RedisURL(text) != nil {
      self = .redis(url: text)
    } else {
      return nil
    }
  }
}
