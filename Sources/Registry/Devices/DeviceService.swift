/// The operations on devices. Each event loop has one, with the loop's own store.
public struct DeviceService: Sendable {
  let store: any RegistryStore
  let live: LiveDevices
  private let hasher: any PasswordHasher
  private let clock: any Clock
  private let random: any RandomSource
  let observer: any RegistryObserver
  private let limits: RateLimits
  let maxDevicesPerClient: Int
  /// How long after its last request a device is offline.
  public let offlineAfterSeconds: Int

  init(
    store: any RegistryStore, live: LiveDevices, hasher: any PasswordHasher, clock: any Clock,
    random: any RandomSource, observer: any RegistryObserver, limits: RateLimits, maxDevicesPerClient: Int,
    offlineAfterSeconds: Int
  ) {
    self.store = store
    self.live = live
    self.hasher = hasher
    self.clock = clock
    self.random = random
    self.observer = observer
    self.limits = limits
    self.maxDevicesPerClient = maxDevicesPerClient
    self.offlineAfterSeconds = offlineAfterSeconds
  }

  /// Registers a device with a new secret. Only the result has the secret. Throws `invalid` for a time that is not in the
  /// future, `clientNotFound`, `tooManyDevices`, `deviceNameTaken`, `groupNotFound`, and the hasher's errors.
  public func createDevice(
    clientID: ClientID, deviceName: DeviceName, labels: Labels = [:], groups: [GroupName] = [],
    expiresAt: Timestamp? = nil, change: Change
  ) async throws(RegistryError) -> RegisteredDevice {
    try expiresAt?.testFuture(after: change.time)
    try await store.checkRegistration(of: deviceName, for: clientID, maxDevices: maxDevicesPerClient)
    let (secret, verifier) = try await newSecret(for: clientID, isRotation: false)
    let device = Device(
      registered: DeviceID(at: change.time, random: random), clientID: clientID, deviceName: deviceName,
      labels: labels, groups: groups, expiresAt: expiresAt, at: change.time)
    try await store.insertDevice(device, verifier: verifier, maxDevices: maxDevicesPerClient, change: change)
    observer.changed(RegistryEvent(.deviceRegistered, by: change, of: clientID, device: device.id))
    return RegisteredDevice(device: device, secret: secret, hmacKeyHash: verifier.hmacKeyHash)
  }

  /// Generates and hashes a secret, for which the client is charged. Throws the hasher's errors.
  func newSecret(
    for client: ClientID, isRotation: Bool
  ) async throws(RegistryError) -> (DeviceSecret, SecretVerifier) {
    let secret = DeviceSecret(random: random)
    let verifier = try await hasher.verifier(for: secret, of: client, isRotation: isRotation)
    limits.charge(client, cost: RequestCost.hash)
    return (secret, verifier)
  }

  /// The page size of a list when the caller gives no limit.
  public static let defaultPage = 1000

  /// Devices that one statement reads to find those that meet a filter's conditions.
  static let devicesPerScan = 2000
  /// Devices that one statement counts.
  static let devicesPerCount = 10_000

  /// The client's devices that meet the conditions, oldest first, `limit` at a time. A page with conditions may have fewer,
  /// or none, although there is a next page.
  public func listDevices(
    clientID: ClientID, matching filter: DeviceFilter = .all, limit: Int = defaultPage,
    after cursor: DeviceCursor? = nil
  ) async throws(RegistryError) -> Page<Device, DeviceCursor> {
    func position(of device: Device) -> DeviceCursor {
      DeviceCursor(createdAt: device.createdAt, id: device.id)
    }
    if filter.isContradictory { return Page(elements: [], next: nil) }
    // One row more than `limit` shows whether there is a next page.
    guard filter != .all else {
      let devices = try await store.devices(of: clientID, after: cursor, limit: limit + 1)
      return Page(devices, limit: limit, cursor: position)
    }
    let found = try await store.devices(
      of: clientID, matching: filter, at: times, after: cursor, limit: limit + 1, scan: Self.devicesPerScan)
    guard let readTo = found.readTo else { return Page(found.devices, limit: limit, cursor: position) }
    limits.charge(clientID, cost: RequestCost.scan(rows: Self.devicesPerScan))
    return Page(elements: found.devices, next: readTo)
  }

  private var times: FilterTimes { FilterTimes(now: clock.now(), offlineAfterSeconds: offlineAfterSeconds) }

  /// Counts the client's devices, some thousand at a time.
  public func countDevices(clientID: ClientID) async throws(RegistryError) -> DeviceCounts {
    let times = times
    var sum = DeviceCounts.none
    var cursor: DeviceCursor?
    // As many steps as the client has devices allow.
    repeat {
      let step = try await store.countDevices(
        of: clientID, at: times, after: cursor, scan: Self.devicesPerCount)
      limits.charge(clientID, cost: RequestCost.scan(rows: step.counts.total))
      sum += step.counts
      cursor = step.readTo
    } while cursor != nil && !Task.isCancelled
    return sum
  }

  /// Throws `deviceNotFound`, `notOwner`.
  public func getDevice(_ id: DeviceID, owner: ClientID) async throws(RegistryError) -> Device {
    guard let device = try await store.device(id) else { throw .deviceNotFound }
    guard device.clientID == owner else { throw .notOwner }
    return device
  }

  /// The stored keys of the device's secrets: the current one and, during a rotation, the next one. Throws
  /// `deviceNotFound`, `notOwner`.
  public func storedKeys(of id: DeviceID, owner: ClientID) async throws(RegistryError) -> [[UInt8]] {
    _ = try await getDevice(id, owner: owner)
    guard let credentials = try await store.credentials(of: id) else { throw .deviceNotFound }
    return [credentials.current, credentials.next].compactMap { $0?.storedKey }
  }

  /// The calling device. Throws `signatureInvalid` or `tokenInvalid` if it was deleted meanwhile.
  public func callingDevice(_ session: DeviceSession) async throws(RegistryError) -> Device {
    live.presence.note(.called, by: session.deviceID, of: session.clientID, at: clock.now())
    guard let device = try await store.device(session.deviceID) else { throw session.ended }
    return device
  }

  /// Throws `invalid` for a time that is not in the future or for too many labels, `deviceNotFound`, `notOwner`,
  /// `deviceRevoked`, `deviceNameTaken`.
  public func updateDevice(
    _ id: DeviceID, owner: ClientID, _ update: DeviceUpdate, change: Change
  ) async throws(RegistryError) -> Device {
    try (update.expiresAt ?? nil)?.testFuture(after: change.time)
    if let device = try await write(update, to: id, of: owner, change: change) {
      if device.updatedAt == change.time {
        observer.changed(RegistryEvent(.deviceUpdated, by: change, of: owner, device: id))
      }
      return device
    }
    // The statement found no device that it may change; this read finds out why.
    let device = try await getDevice(id, owner: owner)
    guard device.isRevoked else { throw .fault(cause: "device \(id) could be changed, but was not") }
    throw .deviceRevoked
  }

  private func write(
    _ update: DeviceUpdate, to id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    if update.isRename, let deviceName = update.deviceName {
      return try await store.renameDevice(id, of: owner, to: deviceName, change: change)
    }
    // Also after an error: the database may have committed the change.
    defer { if update.changesAccess { live.credentialsChanged(of: id) } }
    return try await store.updateDevice(id, of: owner, update, change: change)
  }

  /// Revokes the device at once and permanently. Idempotent. Throws `deviceNotFound`, `notOwner`.
  @discardableResult
  public func revokeDevice(
    _ id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device {
    // Also after an error: the database may have committed the change.
    defer { live.credentialsChanged(of: id) }
    if let device = try await store.revokeDevice(id, of: owner, change: change) {
      observer.changed(RegistryEvent(.deviceRevoked, by: change, of: owner, device: id))
      return device
    }
    let device = try await getDevice(id, owner: owner)
    guard device.isRevoked else { throw .fault(cause: "device \(id) could be revoked, but was not") }
    return device
  }

  /// The grace of a rotation, in seconds: how long the old secret stays valid.
  public static let graceSeconds = 0...86_400
  public static let defaultGraceSeconds = 86_400

  /// Gives the device a new secret, which only the result has. The old secret expires when the new one is first
  /// used or the grace ends; with a grace of 0 it expires at once. A second rotation replaces a new secret that
  /// was never used, and does not extend the grace.
  ///
  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`, and the hasher's errors.
  public func rotateSecret(
    of id: DeviceID, owner: ClientID, graceSeconds: Int = defaultGraceSeconds, change: Change
  ) async throws(RegistryError) -> RotatedDevice {
    // Saves hashing a secret that could not be stored.
    let device = try await getDevice(id, owner: owner)
    guard !device.isRevoked else { throw .deviceRevoked }
    let (secret, verifier) = try await newSecret(for: owner, isRotation: true)
    defer { live.credentialsChanged(of: id) }
    let rotated = try await store.rotateSecret(
      of: id, of: owner, to: verifier, graceExpiresAt: change.time + Int64(graceSeconds) * 1000, change: change)
    // The device existed and had this owner, so it was revoked meanwhile.
    guard let rotated else { throw .deviceRevoked }
    observer.changed(RegistryEvent(.secretRotated, by: change, of: owner, device: id))
    return RotatedDevice(
      registered: RegisteredDevice(device: rotated.device, secret: secret, hmacKeyHash: verifier.hmacKeyHash),
      graceExpiresAt: rotated.graceExpiresAt)
  }
}
