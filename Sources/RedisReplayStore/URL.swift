public import Encoding

/// The URL of a Redis: `redis://[user:password@]host[:port][/db]`. The port is 6379 by default, the database 0. User and
/// password are percent-decoded once (RFC 3986, section 2.1).
public struct RedisURL: Sendable, Redacted {
  /// A name or an IP address; an IPv6 address without brackets.
  let host: String
  let port: UInt16
  /// Empty for Redis' default user.
  let user: String
  /// Empty if the URL has none.
  let password: String
  let database: Int

  private static let scheme = "redis://"
  private static let defaultPort = 6379
  /// The maximum length of a DNS name (RFC 1035, section 2.3.4).
  static let maximumHostLength = 255
  /// Redis counts its databases in an `int`.
  static let maximumDatabase = Int(Int32.max)

  /// Nil if the text does not have this form.
  public init?(_ text: String) {
    guard text.hasPrefix(Self.scheme) else { return nil }
    let rest = text.dropFirst(Self.scheme.count)
    let pathStart = rest.firstIndex(of: "/") ?? rest.endIndex
    guard let database = Self.database(rest[pathStart...].dropFirst()) else { return nil }
    self.database = database

    var authority = rest[..<pathStart]
    if let at = authority.firstIndex(of: "@") {
      guard let (user, password) = Self.credentials(authority[..<at]) else { return nil }
      (self.user, self.password) = (user, password)
      authority = authority[authority.index(after: at)...]
    } else {
      (user, password) = ("", "")
    }
    guard let (host, port) = Self.hostAndPort(authority) else { return nil }
    (self.host, self.port) = (host, port)
  }

  private static func database(_ text: Substring) -> Int? {
    text.isEmpty ? 0 : DecimalText.read(text, in: 0...maximumDatabase)
  }

  private static func credentials(_ text: Substring) -> (user: String, password: String)? {
    guard let colon = text.firstIndex(of: ":"),
      let user = PercentEncoding.decode(text[..<colon]),
      let password = PercentEncoding.decode(text[text.index(after: colon)...]), !password.isEmpty
    else { return nil }
    return (user, password)
  }

  private static func hostAndPort(_ text: Substring) -> (host: String, port: UInt16)? {
    var host = text
    var port = defaultPort
    // Not a colon inside the brackets of an IPv6 address.
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
      guard let number = DecimalText.read(text[text.index(after: colon)...], in: 1...65535) else { return nil }
      port = number
      host = text[..<colon]
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard host.contains(":"), host.utf8.allSatisfy({ Hex.value($0) != nil || ":.".utf8.contains($0) }) else {
        return nil
      }
    } else {
      guard host.utf8.allSatisfy({ $0.isLetter || $0.isDigit || "-._".utf8.contains($0) }) else { return nil }
    }
    guard !host.isEmpty, host.utf8.count <= maximumHostLength else { return nil }
    return (String(host), UInt16(port))
  }
}
