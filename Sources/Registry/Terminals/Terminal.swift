internal import Encoding

/// Where a device runs: which of possibly several terminals with its secret may poll, and for which trading account.
///
/// A class, because the session of each request refers to it.
public final class Terminal: Hashable, Sendable {
  /// The lease on the device; nil if no instance has taken it. It may have ended.
  public let lease: InstanceLease?
  /// What the device last said of where it runs; nil before that.
  public let context: DeviceContext?
  /// The account that the owner allows; nil for any.
  public let boundAccount: TradingAccount?
  /// When an event last told that two instances contend for the device.
  public let contendedAt: Timestamp?
  /// Whether the device runs on the account that its owner allows.
  public let isOnBoundAccount: Bool

  public init(
    lease: InstanceLease? = nil, context: DeviceContext? = nil, boundAccount: TradingAccount? = nil,
    contendedAt: Timestamp? = nil
  ) {
    self.lease = lease
    self.context = context
    self.boundAccount = boundAccount
    self.contendedAt = contendedAt
    isOnBoundAccount = boundAccount == nil || boundAccount == context?.account
  }

  /// Of a new device, and of most others.
  public static let none = Terminal()

  /// The values that a store read; they were validated when they were written. Those of the lease, of the context and of
  /// the bound account are all set or all nil.
  public static func stored(
    instance: String?, since: Timestamp?, lastPoll: Timestamp?, contendedAt: Timestamp?, context: String?,
    login: String?, server: String?, boundLogin: String?, boundServer: String?
  ) -> Terminal {
    if instance == nil, contendedAt == nil, context == nil, boundLogin == nil { return .none }
    return Terminal(
      lease: instance.map {
        InstanceLease(instance: InstanceID(stored: $0), since: since!, lastPoll: lastPoll!)
      },
      context: context.map { DeviceContext(account: TradingAccount(login: login!, server: server!), json: $0) },
      boundAccount: boundLogin.map { TradingAccount(login: $0, server: boundServer!) },
      contendedAt: contendedAt)
  }

  public static func == (left: Terminal, right: Terminal) -> Bool {
    left === right
      || (left.lease, left.context, left.boundAccount, left.contendedAt)
        == (right.lease, right.context, right.boundAccount, right.contendedAt)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(lease)
    hasher.combine(context)
    hasher.combine(boundAccount)
    hasher.combine(contendedAt)
  }

  /// Whether a poll needs nothing more: the device runs where it may, and the instance, if the poll names one, has the
  /// lease.
  func admits(_ instance: InstanceID?) -> Bool {
    isOnBoundAccount && (instance == nil || instance == lease?.instance)
  }
}

/// The name that a terminal draws when it starts: 8 to 64 characters of `A-Z a-z 0-9 - _`.
public struct InstanceID: Hashable, Sendable, CustomStringConvertible {
  public static let lengths = 8...64

  public let text: String

  /// Nil if the text is not a valid name.
  public init?(_ text: String) {
    let isValid = text.utf8.allSatisfy { byte in
      byte.isLetter || byte.isDigit || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
    guard Self.lengths.contains(text.utf8.count), isValid else { return nil }
    self.text = text
  }

  /// A name that a store read; it was validated when it was written.
  public init(stored text: String) { self.text = text }

  public var description: String { text }
}

/// The right of one instance to poll. Each poll renews it.
public struct InstanceLease: Hashable, Sendable {
  public let instance: InstanceID
  public let since: Timestamp
  /// When the instance last polled, as far as it is stored: presence is written once a second.
  public let lastPoll: Timestamp

  /// How long the lease is valid after a poll, unless the operator sets another time.
  public static let defaultSeconds = 60

  public init(instance: InstanceID, since: Timestamp, lastPoll: Timestamp) {
    self.instance = instance
    self.since = since
    self.lastPoll = lastPoll
  }
}

/// A broker's account.
public struct TradingAccount: Hashable, Sendable {
  public let login: String
  public let server: String

  /// Unicode scalars of the login, and of the server.
  public static let maximumLength = 128

  public init(login: String, server: String) {
    self.login = login
    self.server = server
  }

  /// As a JSON object.
  public var json: String {
    "{\"login\": \(JSONString.quoted(login)), \"server\": \(JSONString.quoted(server))}"
  }
}

/// What a device says of where it runs.
public struct DeviceContext: Hashable, Sendable {
  public let account: TradingAccount
  /// All of it, as a JSON object: account, terminal, program.
  public let json: String

  /// Bytes of the JSON object.
  public static let maximumBytes = 4096

  public init(account: TradingAccount, json: String) {
    self.account = account
    self.json = json
  }
}
