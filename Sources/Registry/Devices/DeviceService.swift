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

  init(
    store: any RegistryStore, live: LiveDevices, hasher: any PasswordHasher, clock: any Clock,
    random: any RandomSource, observer: any RegistryObserver, limits: RateLimits, maxDevicesPerClient: Int
  ) {
    self.store = store
    self.live = live
    self.hasher = hasher
    self.clock = clock
    self.random = random
    self.observer = observer
    self.limits = limits
    self.maxDevicesPerClient = maxDevicesPerClient
  }

  /// Registers a device with a new secret. Only the result has the secret. Throws `clientNotFound`,
  /// `tooManyDevices`, `deviceNameTaken`, and the hasher's errors.
  public func createDevice(
    clientID: ClientID, deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> RegisteredDevice {
    try await store.checkRegistration(of: deviceName, for: clientID, maxDevices: maxDevicesPerClient)
    let (secret, verifier) = try await newSecret(for: clientID, isRotation: false)
    let device = Device(
      registered: DeviceID(at: change.time, random: random), clientID: clientID, deviceName: deviceName,
      at: change.time)
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

  /// The client's devices, active and revoked, oldest first, `limit` at a time.
  public func listDevices(
    clientID: ClientID, limit: Int = defaultPage, after cursor: DeviceCursor? = nil
  ) async throws(RegistryError) -> Page<Device, DeviceCursor> {
    // One row more than `limit` shows whether there is a next page.
    let devices = try await store.devices(of: clientID, after: cursor, limit: limit + 1)
    return Page(devices, limit: limit) { DeviceCursor(createdAt: $0.createdAt, id: $0.id) }
  }

  /// Throws `deviceNotFound`, `notOwner`.
  public func getDevice(_ id: DeviceID, owner: ClientID) async throws(RegistryError) -> Device {
    guard let device = try await store.device(id) else { throw .deviceNotFound }
    guard device.clientID == owner else { throw .notOwner }
    return device
  }

  /// The calling device. Throws `signatureInvalid` or `tokenInvalid` if it was deleted meanwhile.
  public func callingDevice(_ session: DeviceSession) async throws(RegistryError) -> Device {
    live.presence.note(.called, by: session.deviceID, at: clock.now())
    guard let device = try await store.device(session.deviceID) else { throw session.ended }
    return device
  }

  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`, `deviceNameTaken`.
  public func updateDeviceName(
    _ id: DeviceID, owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device {
    if let device = try await store.renameDevice(id, of: owner, to: deviceName, change: change) {
      observer.changed(RegistryEvent(.deviceUpdated, by: change, of: owner, device: id))
      return device
    }
    // The statement changed nothing; this read finds out why.
    let device = try await getDevice(id, owner: owner)
    guard device.isRevoked else { throw .fault(cause: "device \(id) could be renamed, but was not") }
    throw .deviceRevoked
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
