/// What an owner changes of a device; nil leaves a value as it is.
public struct DeviceUpdate: Hashable, Sendable {
  public let deviceName: DeviceName?
  public let labels: LabelPatch?
  /// `.some(nil)` for a device that does not expire.
  public let expiresAt: Timestamp??

  public init(deviceName: DeviceName? = nil, labels: LabelPatch? = nil, expiresAt: Timestamp?? = nil) {
    self.deviceName = deviceName
    self.labels = labels
    self.expiresAt = expiresAt
  }

  /// Whether it changes nothing but the name: renames have a faster path.
  var isRename: Bool { labels == nil && expiresAt == nil }
}

extension Timestamp {
  /// Throws `invalid` for `expires_at` unless the time is later than another.
  func testFuture(after now: Timestamp) throws(RegistryError) {
    guard self > now else { throw .invalid(field: "expires_at", message: "must be in the future") }
  }
}
