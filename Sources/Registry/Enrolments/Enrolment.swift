/// An enrolment's id.
public typealias EnrolmentID = Identifier<Enrolment>

/// A code with which a terminal gets a device's secret.
public typealias EnrolmentCode = OneTimeCode<Enrolment>

extension Enrolment: CodeUse {
  /// 128 bits: the code works for up to a month.
  public static let codeLength = 16
}

/// The permission to get a device's secret with a code: a new device, or a new secret for one that exists.
public struct Enrolment: Hashable, Sendable {
  public let id: EnrolmentID
  public let clientID: ClientID
  /// Whether the code replaces the secret of a device that exists; else it makes a device.
  public let replacesSecret: Bool
  /// The device whose secret the code replaces, or that it made; nil while it has made none.
  public let deviceID: DeviceID?
  /// The name of the device that the code makes, unless the terminal gives another; nil for a device that exists.
  public let deviceName: DeviceName?
  /// Of the device that the code makes.
  public let labels: Labels
  public let groups: [GroupName]
  public let deviceExpiresAt: Timestamp?
  public let createdAt: Timestamp
  /// When the code stops to work.
  public let expiresAt: Timestamp
  /// When the code was used; nil before that.
  public let usedAt: Timestamp?

  public init(
    id: EnrolmentID, clientID: ClientID, replacesSecret: Bool, deviceID: DeviceID?, deviceName: DeviceName?,
    labels: Labels = [:], groups: [GroupName] = [], deviceExpiresAt: Timestamp? = nil,
    createdAt: Timestamp, expiresAt: Timestamp, usedAt: Timestamp?
  ) {
    self.id = id
    self.clientID = clientID
    self.replacesSecret = replacesSecret
    self.deviceID = deviceID
    self.deviceName = deviceName
    self.labels = labels
    self.groups = groups
    self.deviceExpiresAt = deviceExpiresAt
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.usedAt = usedAt
  }

  public enum Status: String, CaseIterable, Hashable, Sendable {
    /// The code works.
    case open
    case used
    /// The code was not used in time.
    case expired
  }

  public func status(at time: Timestamp) -> Status {
    if usedAt != nil { return .used }
    return time < expiresAt ? .open : .expired
  }

  /// Enrolments of one client that are kept, used and expired ones included. The databases have this number in a trigger.
  public static let maximumPerClient = 10_000
  /// How long an enrolment is kept after its code was used or has expired.
  public static let keptDays = 7
}

/// An enrolment and its code, which cannot be read again.
public struct IssuedEnrolment: Sendable {
  public let enrolment: Enrolment
  public let code: EnrolmentCode
}

/// An enrolment as it is stored: with the hash of its code.
public struct NewEnrolment: Sendable {
  public let enrolment: Enrolment
  public let codeHash: TokenHash

  public init(_ enrolment: Enrolment, codeHash: TokenHash) {
    self.enrolment = enrolment
    self.codeHash = codeHash
  }
}
