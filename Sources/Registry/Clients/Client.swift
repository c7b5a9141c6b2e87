internal import Encoding

/// A customer of a signal provider or trading desk, who owns devices.
public struct Client: Hashable, Sendable {
  public let id: ClientID
  public let email: Email?
  /// The 64-bit user id that Telegram assigns.
  public let telegramID: Int64?
  public let createdAt: Timestamp
  /// Nil unless the client is suspended, and with it all its devices.
  public let suspension: DeviceAccess.ClientSuspension?
  /// Devices that the client may have, revoked ones included; nil for the registry's limit.
  public let maxDevices: Int?
  /// Devices that the client has, revoked ones included.
  public let deviceCount: Int

  /// The limits that a client may have.
  public static let deviceLimits = 0...1_000_000

  public init(
    id: ClientID, email: Email?, telegramID: Int64?, createdAt: Timestamp,
    suspension: DeviceAccess.ClientSuspension? = nil, maxDevices: Int? = nil, deviceCount: Int = 0
  ) {
    self.id = id
    self.email = email
    self.telegramID = telegramID
    self.createdAt = createdAt
    self.suspension = suspension
    self.maxDevices = maxDevices
    self.deviceCount = deviceCount
  }
}

extension Client {
  /// A client that a store read.
  public init(
    id: ClientID, email: Email?, telegramID: Int64?, createdAt: Timestamp, suspendedAt: Timestamp?,
    reason: String?,
    maxDevices: Int64?, deviceCount: Int64
  ) {
    self.init(
      id: id, email: email, telegramID: telegramID, createdAt: createdAt,
      suspension: suspendedAt.map { _ in DeviceAccess.ClientSuspension(reason: reason) },
      maxDevices: maxDevices.map(Int.init), deviceCount: Int(deviceCount))
  }
}

/// New values of a client; nil where a value stays, and a nil inside to clear it.
public struct ClientUpdate: Hashable, Sendable {
  public let email: Email??
  public let telegramID: Int64??
  public let maxDevices: Int??

  public init(email: Email?? = nil, telegramID: Int64?? = nil, maxDevices: Int?? = nil) {
    self.email = email
    self.telegramID = telegramID
    self.maxDevices = maxDevices
  }

  /// The client with the new values; nil if they are as before.
  public func applied(to client: Client) -> Client? {
    let new = Client(
      id: client.id, email: email ?? client.email, telegramID: telegramID ?? client.telegramID,
      createdAt: client.createdAt, suspension: client.suspension, maxDevices: maxDevices ?? client.maxDevices,
      deviceCount: client.deviceCount)
    return new == client ? nil : new
  }

  /// What the event shows. It has no personal data: of the address and the user id it shows whether there is one.
  public static func changes(from old: Client, to new: Client) -> EventChanges {
    var changes: EventChanges = [:]
    if old.email != new.email {
      changes.add("email", from: .bool(old.email != nil), to: .bool(new.email != nil))
    }
    if old.telegramID != new.telegramID {
      changes.add("telegram_id", from: .bool(old.telegramID != nil), to: .bool(new.telegramID != nil))
    }
    if old.maxDevices != new.maxDevices {
      changes.add("max_devices", from: .number(orNull: old.maxDevices), to: .number(orNull: new.maxDevices))
    }
    return changes
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
