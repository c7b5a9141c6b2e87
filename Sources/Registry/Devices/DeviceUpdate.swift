/// What an owner changes of a device; nil leaves a value as it is.
public struct DeviceUpdate: Hashable, Sendable {
  public let deviceName: DeviceName?
  public let labels: LabelPatch?
  /// `.some(nil)` for a device that does not expire.
  public let expiresAt: Timestamp??
  /// `.some(nil)` for a device that may trade on any account.
  public let boundAccount: TradingAccount??

  public init(
    deviceName: DeviceName? = nil, labels: LabelPatch? = nil, expiresAt: Timestamp?? = nil,
    boundAccount: TradingAccount?? = nil
  ) {
    self.deviceName = deviceName
    self.labels = labels
    self.expiresAt = expiresAt
    self.boundAccount = boundAccount
  }

  /// Whether it changes nothing but the name: renames have a faster path.
  var isRename: Bool { labels == nil && expiresAt == nil && boundAccount == nil }

  /// Whether it changes what is cached for authentication.
  var changesAccess: Bool { expiresAt != nil || boundAccount != nil }
}

extension Timestamp {
  /// Throws `invalid` for the field unless the time is later than another.
  func testFuture(after now: Timestamp, field: String = "expires_at") throws(RegistryError) {
    guard self > now else { throw .invalid(field: field, message: "must be in the future") }
  }
}
