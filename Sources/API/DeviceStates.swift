internal import Endpoints
internal import Registry

// The owner's operations on whether devices may be used.

extension API {
  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`.
  func suspendDevice(
    _ owner: Owner, _ input: PathAndBody<DevicePath, Suspension>
  ) async throws(RegistryError) -> OK<ShownDevice> {
    ok(
      try await services.devices.suspendDevice(
        input.path.id, owner: owner.clientID, until: input.body.until,
        change: owner.change.because(input.body.reason)))
  }

  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`.
  func resumeDevice(
    _ owner: Owner, _ input: PathAndBody<DevicePath, Reason>
  ) async throws(RegistryError) -> OK<ShownDevice> {
    ok(
      try await services.devices.resumeDevice(
        input.path.id, owner: owner.clientID, change: owner.change.because(input.body.reason)))
  }

  /// Throws `deviceNotFound`, `notOwner`, `deviceNotRevoked`.
  func deleteDevice(_ owner: Owner, _ input: DevicePath) async throws(RegistryError) -> NoContent {
    try await services.devices.deleteDevice(input.id, owner: owner.clientID, change: owner.change)
    return NoContent()
  }
}

/// The body that suspends a device.
struct Suspension: JSONInput {
  let reason: String?
  let until: Timestamp?

  static let body = JSONBody(
    "SuspensionInput", isOptional: true,
    .object(
      Member.reason,
      .optional(
        "until", .time, "When the suspension ends, in the future; without it, it ends when it is resumed.")
    ) { Suspension(reason: $0, until: $1) })
}

/// The body of a change that needs nothing but may have a reason.
struct Reason: JSONInput {
  let reason: String?

  static let body = JSONBody(
    "ReasonInput", isOptional: true, .object(Member.reason) { Reason(reason: $0) })
}
