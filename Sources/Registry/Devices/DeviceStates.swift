extension DeviceService {
  /// Suspends the device at once, until a time or until it is resumed. Repeating it changes nothing. Throws
  /// `deviceNotFound`, `notOwner`, `deviceRevoked`, and `invalid` if the time is not in the future.
  public func suspendDevice(
    _ id: DeviceID, owner: ClientID, until: Timestamp?, change: Change
  ) async throws(RegistryError) -> Device {
    if let until, until <= change.time { throw .invalid(field: "until", message: "must lie in the future") }
    if let device = try await suspended(id, owner: owner, until: until, change: change) { return device }
    let device = try await unrevoked(id, owner: owner)
    guard let suspension = device.state.suspension, !suspension.isInForce(at: change.time) else {
      return device
    }
    // The end of the former suspension is a separate event, before this one.
    try await TimedEnds(store: store, live: live, observer: observer).record(at: change.time)
    if let device = try await suspended(id, owner: owner, until: until, change: change) { return device }
    return try await unrevoked(id, owner: owner)
  }

  private func suspended(
    _ id: DeviceID, owner: ClientID, until: Timestamp?, change: Change
  ) async throws(RegistryError) -> Device? {
    // Also after an error: the database may have committed the change.
    defer { live.credentialsChanged(of: id) }
    let device = try await store.suspendDevice(id, of: owner, until: until, change: change)
    if device != nil { observer.changed(RegistryEvent(.deviceSuspended, by: change, of: owner, device: id)) }
    return device
  }

  /// Ends the device's suspension. Repeating it changes nothing. Throws `deviceNotFound`, `notOwner`, `deviceRevoked`.
  public func resumeDevice(
    _ id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device {
    do {
      defer { live.credentialsChanged(of: id) }
      if let device = try await store.resumeDevice(id, of: owner, change: change) {
        observer.changed(RegistryEvent(.deviceResumed, by: change, of: owner, device: id))
        return device
      }
    }
    return try await unrevoked(id, owner: owner)
  }

  private func unrevoked(_ id: DeviceID, owner: ClientID) async throws(RegistryError) -> Device {
    let device = try await getDevice(id, owner: owner)
    guard !device.isRevoked else { throw .deviceRevoked }
    return device
  }

  /// Deliveries that one statement deletes with a device.
  public static let deliveriesPerDeletion = 2000

  /// Deletes a revoked device and its deliveries. Its events stay. Throws `deviceNotFound`, `notOwner`,
  /// `deviceNotRevoked`.
  public func deleteDevice(_ id: DeviceID, owner: ClientID, change: Change) async throws(RegistryError) {
    defer { live.credentialsChanged(of: id) }
    // What a client keeps bounds the number of steps.
    while true {
      let deletion = try await store.deleteDevice(
        id, of: owner, maximumRows: Self.deliveriesPerDeletion, change: change)
      switch deletion {
      case .begun: continue
      case .deleted: return observer.changed(RegistryEvent(.deviceDeleted, by: change, of: owner, device: id))
      case .notFound:
        let device = try await getDevice(id, owner: owner)
        guard device.isRevoked else { throw .deviceNotRevoked }
        throw .fault(cause: "device \(id) could be deleted, but was not")
      }
    }
  }
}
