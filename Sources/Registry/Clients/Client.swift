internal import Encoding

/// Somebody who owns devices: a signal provider's or a trading desk's customer.
public struct Client: Hashable, Sendable {
  public let id: ClientID
  public let email: Email?
  /// The user id that Telegram gives, a 64-bit integer.
  public let telegramID: Int64?
  public let createdAt: Timestamp

  public init(id: ClientID, email: Email?, telegramID: Int64?, createdAt: Timestamp) {
    self.id = id
    self.email = email
    self.telegramID = telegramID
    self.createdAt = createdAt
  }
}

/// A client's id, the `sub` of its tokens: 1 to 64 visible ASCII characters.
public struct ClientID: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  public static let maximumLength = 64

  /// Nil if the text is not of the form.
  public init?(_ text: String) {
    guard (1...Self.maximumLength).contains(text.utf8.count),
      text.utf8.allSatisfy(\.isVisible)
    else { return nil }
    self.text = text
  }

  public var description: String { text }
}

/// An e-mail address, kept as it was given; two that differ only in the case of ASCII letters are one.
public struct Email: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  /// RFC 5321, section 4.5.3.1.3: a path has 256 octets, two of them angle brackets.
  public static let maximumLength = 254

  /// Nil if the text cannot be an address. Only its shape is tested, something on both sides of one `@` and
  /// no white space or control character: whether it is anyone's shows when a message arrives.
  public init?(_ text: String) {
    let parts = text.utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
    guard text.utf8.count <= Self.maximumLength, parts.count == 2, parts.allSatisfy({ !$0.isEmpty }),
      !text.unicodeScalars.contains(where: {
        $0.properties.isWhitespace || $0.properties.generalCategory == .control
      })
    else { return nil }
    self.text = text
  }

  public var description: String { text }
}
