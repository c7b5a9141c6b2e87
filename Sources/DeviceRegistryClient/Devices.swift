public import Foundation

// An owner's requests on devices.

extension OwnerClient {
  /// Registers a device and returns it with its secret, which is shown only once. Throws a `problem` of kind
  /// `device-name-taken` if another device of the owner has this name, `group-not-found`, or `too-many-devices`.
  public func register(
    _ device: NewDevice, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> RegisteredDevice {
    try await perform(.register(device), idempotencyKey: idempotencyKey)
  }

  /// As above, with a name and nothing else.
  public func register(
    name: String, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> RegisteredDevice {
    try await register(NewDevice(name: name), idempotencyKey: idempotencyKey)
  }

  /// The owner's devices, oldest first, revoked ones included. Pages are fetched as elements are read.
  public func devices(matching filter: DeviceFilter = DeviceFilter()) -> Pages<Device> {
    Pages(exchange: exchange, target: "\(devicesPath)?limit=\(devicePageSize)\(filter.query)")
  }

  /// How many devices the owner has.
  public func deviceSummary() async throws(RegistryClientError) -> DeviceSummary { try await perform(.summary) }

  /// All devices of the owner.
  public func listDevices() async throws(RegistryClientError) -> [Device] { try await devices().all() }

  /// One device. Throws a `problem` with 404 if it does not exist, or 403 if it is another owner's.
  public func device(_ id: String) async throws(RegistryClientError) -> Device {
    try await perform(.device(id))
  }

  /// Changes a device. Throws as `rename` does.
  @discardableResult
  public func change(_ id: String, _ change: DeviceChange) async throws(RegistryClientError) -> Device {
    try await perform(.change(id, change))
  }

  /// Renames a device. Throws as `register` and `device` do, and a `problem` with 409 for a revoked device.
  @discardableResult
  public func rename(_ id: String, to name: String) async throws(RegistryClientError) -> Device {
    try await perform(.change(id, DeviceChange(name: name)))
  }

  /// Suspends a device: it is refused until then, or until it is resumed. Repeating it has no effect. Throws as `rename`
  /// does.
  ///
  /// - Parameter reason: at most 200 characters, for the event and `statusReason`.
  @discardableResult
  public func suspend(
    _ id: String, until: Date? = nil, reason: String? = nil
  ) async throws(RegistryClientError) -> Device {
    try await perform(.suspend(id, until: until, reason: reason))
  }

  /// Resumes a suspended device. Repeating it has no effect. Throws as `rename` does.
  @discardableResult
  public func resume(_ id: String, reason: String? = nil) async throws(RegistryClientError) -> Device {
    try await perform(.resume(id, reason: reason))
  }

  /// Deletes a revoked device; its events stay. Throws as `device` does, and a `problem` of kind `device-not-revoked`.
  public func delete(_ id: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("DELETE", path(ofDevice: id)))
  }

  /// Revokes a device, which is final. Repeating it has no effect. Throws as `device` does.
  ///
  /// - Parameter reason: at most 200 characters, for the event and `statusReason`.
  public func revoke(_ id: String, reason: String? = nil) async throws(RegistryClientError) {
    try await perform(.revoke(id, reason: reason))
  }

  /// Gives a device a new secret. The old one works until the new one is first used, at most `graceSeconds` (0 to
  /// 86,400; nil means a day). Throws as `rename` does.
  ///
  /// - Parameter reason: at most 200 characters, for the event.
  public func rotate(
    _ id: String, graceSeconds: Int? = nil, reason: String? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> RegisteredDevice {
    try await perform(
      .rotate(id, graceSeconds: graceSeconds, reason: reason), idempotencyKey: idempotencyKey)
  }
}

/// A device to register.
public struct NewDevice: Encodable, Hashable, Sendable {
  /// Unique among the owner's devices that are not revoked.
  public var name: String
  /// At most 16, by key.
  public var labels: [String: String]
  /// Names of groups that exist.
  public var groups: [String]
  /// From when on it is refused; nil for never.
  public var expiresAt: Date?

  public init(
    name: String, labels: [String: String] = [:], groups: [String] = [], expiresAt: Date? = nil
  ) {
    self.name = name
    self.labels = labels
    self.groups = groups
    self.expiresAt = expiresAt
  }

  enum CodingKeys: String, CodingKey {
    case labels, groups
    case name = "device_name"
    case expiresAt = "expires_at"
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(name, forKey: .name)
    if !labels.isEmpty { try members.encode(labels, forKey: .labels) }
    if !groups.isEmpty { try members.encode(groups, forKey: .groups) }
    try members.encodeIfPresent(expiresAt, forKey: .expiresAt)
  }
}

/// What to change of a device. Nil leaves a value as it is.
public struct DeviceChange: Encodable, Hashable, Sendable {
  public var name: String?
  /// Labels to set, by key; a nil value removes one.
  public var labels: [String: String?]?
  /// `.some(nil)` for a device that does not expire.
  public var expiresAt: Date??
  /// `.some(nil)` for a device that gets signals on any account.
  public var boundAccount: TradingAccount??

  public init(
    name: String? = nil, labels: [String: String?]? = nil, expiresAt: Date?? = nil,
    boundAccount: TradingAccount?? = nil
  ) {
    self.name = name
    self.labels = labels
    self.expiresAt = expiresAt
    self.boundAccount = boundAccount
  }

  enum CodingKeys: String, CodingKey {
    case labels
    case name = "device_name"
    case expiresAt = "expires_at"
    case boundAccount = "bound_account"
  }
}

// MARK: - Requests

let devicesPath = "/api/v1/devices"
private let devicePageSize = 1000

/// Throws `invalidArgument` if the id is no UUID.
private func path(ofDevice id: String, _ operation: String = "") throws(RegistryClientError) -> String {
  "\(devicesPath)/\(try String.pathID(id))\(operation)"
}

/// The members of the bodies that change a device's state; nil leaves one out.
private struct StateChange: Encodable {
  var until: Date?
  var grace_seconds: Int?
  var reason: String?

  /// Nil for a body without members, which is left out.
  func json() throws(RegistryClientError) -> Data? {
    let isEmpty = until == nil && grace_seconds == nil && reason == nil
    return isEmpty ? nil : try .json(self, "change")
  }
}

extension OwnerRequest<RegisteredDevice> {
  package static func register(_ device: NewDevice) throws(RegistryClientError) -> Self {
    Self("POST", devicesPath, body: try .json(device, "device"), isCreating: true)
  }

  package static func rotate(
    _ id: String, graceSeconds: Int?, reason: String?
  ) throws(RegistryClientError) -> Self {
    let body = StateChange(grace_seconds: graceSeconds, reason: reason)
    return Self("POST", try path(ofDevice: id, "/rotate"), body: try body.json(), isCreating: true)
  }
}

extension OwnerRequest<Device> {
  package static func device(_ id: String) throws(RegistryClientError) -> Self {
    Self("GET", try path(ofDevice: id))
  }

  package static func change(_ id: String, _ change: DeviceChange) throws(RegistryClientError) -> Self {
    Self("PATCH", try path(ofDevice: id), body: try .json(change, "change"))
  }

  static func suspend(_ id: String, until: Date?, reason: String?) throws(RegistryClientError) -> Self {
    let body = StateChange(until: until, reason: reason)
    return Self("POST", try path(ofDevice: id, "/suspend"), body: try body.json())
  }

  static func resume(_ id: String, reason: String?) throws(RegistryClientError) -> Self {
    Self("POST", try path(ofDevice: id, "/resume"), body: try StateChange(reason: reason).json())
  }
}

extension OwnerRequest<DeviceSummary> {
  package static var summary: Self { Self("GET", "\(devicesPath)/summary") }
}

extension OwnerRequest<Void> {
  static func revoke(_ id: String, reason: String?) throws(RegistryClientError) -> Self {
    Self("POST", try path(ofDevice: id, "/revoke"), body: try StateChange(reason: reason).json())
  }
}
