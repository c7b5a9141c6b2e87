internal import Foundation

// An owner's requests on devices.

extension OwnerClient {
  /// Registers a device and returns it with its secret, which is shown only once. Throws a `problem` of kind
  /// `device-name-taken` if another device of the owner has this name, or `too-many-devices`.
  public func register(
    name: String, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> RegisteredDevice {
    try await perform(.register(name: name), idempotencyKey: idempotencyKey)
  }

  /// The owner's devices, oldest first, revoked ones included. Pages are fetched as elements are read.
  public func devices() -> Pages<Device> {
    Pages(exchange: exchange, target: "\(devicesPath)?limit=\(devicePageSize)")
  }

  /// All devices of the owner.
  public func listDevices() async throws(RegistryClientError) -> [Device] { try await devices().all() }

  /// One device. Throws a `problem` with 404 if it does not exist, or 403 if it is another owner's.
  public func device(_ id: String) async throws(RegistryClientError) -> Device {
    try await perform(.device(id))
  }

  /// Renames a device. Throws as `register` and `device` do, and a `problem` with 409 for a revoked device.
  @discardableResult
  public func rename(_ id: String, to name: String) async throws(RegistryClientError) -> Device {
    try await perform(.rename(id, to: name))
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

// MARK: - Requests

private let devicesPath = "/api/v1/devices"
private let devicePageSize = 1000

/// Throws `invalidArgument` if the id is no UUID.
private func path(ofDevice id: String, _ operation: String = "") throws(RegistryClientError) -> String {
  "\(devicesPath)/\(try String.pathID(id))\(operation)"
}

/// The members of the bodies on one device; nil leaves one out.
private struct StateChange: Encodable {
  var device_name: String?
  var grace_seconds: Int?
  var reason: String?

  /// Nil for a body without members, which is left out.
  func json() throws(RegistryClientError) -> Data? {
    let isEmpty = device_name == nil && grace_seconds == nil && reason == nil
    return isEmpty ? nil : try .json(self, "change")
  }
}

extension OwnerRequest<RegisteredDevice> {
  package static func register(name: String) throws(RegistryClientError) -> Self {
    Self("POST", devicesPath, body: try StateChange(device_name: name).json(), isCreating: true)
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

  package static func rename(_ id: String, to name: String) throws(RegistryClientError) -> Self {
    Self("PATCH", try path(ofDevice: id), body: try StateChange(device_name: name).json())
  }
}

extension OwnerRequest<Void> {
  static func revoke(_ id: String, reason: String?) throws(RegistryClientError) -> Self {
    Self("POST", try path(ofDevice: id, "/revoke"), body: try StateChange(reason: reason).json())
  }
}
