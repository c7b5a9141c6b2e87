internal import Encoding

/// A customer of a signal provider or trading desk, who owns devices.
public struct Client: Hashable, Sendable {
  public let id: ClientID
  public let email: Email?
  /// The 64-bit user id that Telegram assigns.
  public let telegramID: Int64?
  public let createdAt: Timestamp

  public init(id: ClientID, email: Email?, telegramID: Int64?, createdAt: Timestamp) {
    self.id = id
    self.email = email
    self.telegramID = telegramID
    self.createdAt = createdAt
  }
}

/// A client's id, the `sub` of its tokens: 1 to 64 visible ASCII characters, but not `.` or `..`, which URL libraries
/// remove from paths (RFC 3986, section 5.2.4).
public struct ClientID: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  public static let maximumLength = 64

  /// Nil if the text is not a valid id.
  public init?(_ text: String) {
    guard (1...Self.maximumLength).contains(text.utf8.count),
      text.utf8.allSatisfy(\.isVisible), text != ".", text != ".."
    else { return nil }
    self.text = text
  }

  /// An id that a store read; it was validated when it was written.
  public init(stored text: String) { self.text = text }

  public var description: String { text }
}

/// An e-mail address, stored as given. The stores compare addresses without the case of ASCII letters.
public struct Email: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  /// RFC 5321, section 4.5.3.1.3: a path has 256 octets, two of them angle brackets.
  public static let maximumLength = 254

  /// Nil unless the text has characters on both sides of one `@`, no white space and no control character.
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
