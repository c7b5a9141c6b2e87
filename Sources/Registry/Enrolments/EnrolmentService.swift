/// Enrolments: their owner's operations, and the use of their codes. Each event loop has one, with the loop's own store.
public struct EnrolmentService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let devices: DeviceService
  private let idempotency: IdempotencyService
  private let hasher: any PasswordHasher
  private let clock: any Clock
  private let random: any RandomSource
  private let observer: any RegistryObserver

  init(
    store: any RegistryStore, live: LiveDevices, devices: DeviceService, idempotency: IdempotencyService,
    hasher: any PasswordHasher, clock: any Clock, random: any RandomSource, observer: any RegistryObserver
  ) {
    self.store = store
    self.live = live
    self.devices = devices
    self.idempotency = idempotency
    self.hasher = hasher
    self.clock = clock
    self.random = random
    self.observer = observer
  }

  // MARK: The owner's operations

  /// Enrolments that one request creates.
  public static let counts = 1...500
  /// How long a code works, in seconds.
  public static let lifetimeSeconds = 60...2_592_000
  public static let defaultLifetimeSeconds = 900

  /// Creates enrolments for new devices. Only the result has their codes.
  ///
  /// Throws `invalid`, `clientNotFound`, `groupNotFound`, `tooManyEnrolments`.
  ///
  /// - Parameters:
  ///   - deviceName: the name of the device; of several, each with its number.
  ///   - deviceExpiresAt: from when on the device is refused. The code stops to work then, if not before.
  public func createEnrolments(
    clientID: ClientID, count: Int, lifetimeSeconds: Int, deviceName: DeviceName?, labels: Labels = [:],
    groups: [GroupName] = [], deviceExpiresAt: Timestamp? = nil, change: Change
  ) async throws(RegistryError) -> [IssuedEnrolment] {
    try deviceExpiresAt?.testFuture(after: change.time, field: "device_expires_at")
    var issued: [IssuedEnrolment] = []
    for number in 1...count {
      var name = deviceName
      if let deviceName, count > 1 { name = try DeviceName("\(deviceName) \(number)") }
      issued.append(
        issue(
          for: clientID, lifetimeSeconds: lifetimeSeconds, deviceID: nil, deviceName: name, labels: labels,
          groups: groups, deviceExpiresAt: deviceExpiresAt, change: change))
    }
    guard try await insert(issued, change: change) else { throw .fault(cause: "no enrolment was stored") }
    return issued
  }

  /// Creates an enrolment whose code replaces the device's secret, for a terminal that moves.
  ///
  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`, `tooManyEnrolments`.
  public func createEnrolment(
    of id: DeviceID, owner: ClientID, lifetimeSeconds: Int, change: Change
  ) async throws(RegistryError) -> IssuedEnrolment {
    let issued = issue(
      for: owner, lifetimeSeconds: lifetimeSeconds, deviceID: id, deviceName: nil, change: change)
    if try await insert([issued], change: change) { return issued }
    let device = try await devices.getDevice(id, owner: owner)
    guard device.isRevoked else { throw .fault(cause: "device \(id) could be enrolled, but was not") }
    throw .deviceRevoked
  }

  private func issue(
    for client: ClientID, lifetimeSeconds: Int, deviceID: DeviceID?, deviceName: DeviceName?,
    labels: Labels = [:], groups: [GroupName] = [], deviceExpiresAt: Timestamp? = nil, change: Change
  ) -> IssuedEnrolment {
    let end = change.time + Int64(lifetimeSeconds) * 1000
    return IssuedEnrolment(
      enrolment: Enrolment(
        id: EnrolmentID(at: change.time, random: random), clientID: client, replacesSecret: deviceID != nil,
        deviceID: deviceID, deviceName: deviceName, labels: labels, groups: groups,
        deviceExpiresAt: deviceExpiresAt, createdAt: change.time, expiresAt: min(end, deviceExpiresAt ?? end),
        usedAt: nil),
      code: EnrolmentCode(random: random))
  }

  private func insert(_ issued: [IssuedEnrolment], change: Change) async throws(RegistryError) -> Bool {
    let rows = issued.map {
      NewEnrolment($0.enrolment, codeHash: $0.code.withCharacters(hasher.hash(ofToken:)))
    }
    guard try await store.insertEnrolments(rows, change: change) else { return false }
    for enrolment in issued.lazy.map(\.enrolment) {
      observer.changed(
        RegistryEvent(.enrolmentCreated, by: change, of: enrolment.clientID, device: enrolment.deviceID))
    }
    return true
  }

  /// The page size of the list when the caller gives no limit.
  public static let defaultPage = 1000

  /// The client's enrolments, oldest first.
  public func listEnrolments(
    clientID: ClientID, limit: Int = defaultPage, after cursor: EnrolmentCursor? = nil
  ) async throws(RegistryError) -> Page<Enrolment, EnrolmentCursor> {
    let enrolments = try await store.enrolments(of: clientID, after: cursor?.id, limit: limit + 1)
    return Page(enrolments, limit: limit) { EnrolmentCursor(id: $0.id) }
  }

  /// Deletes an enrolment; if it is open, its code no longer works. Throws `enrolmentNotFound`, `notEnrolmentOwner`.
  public func deleteEnrolment(_ id: EnrolmentID, owner: ClientID, change: Change) async throws(RegistryError) {
    if try await store.deleteEnrolment(id, of: owner, change: change) {
      observer.changed(RegistryEvent(.enrolmentDeleted, by: change, of: owner))
      return
    }
    guard let enrolment = try await store.enrolment(id) else { throw .enrolmentNotFound }
    guard enrolment.clientID == owner else { throw .notEnrolmentOwner }
    throw .fault(cause: "enrolment \(id) could be deleted, but was not")
  }

  // MARK: Using a code

  /// Gives anyone who has the code a device and its secret: a new device, or the device of the enrolment, whose old secret
  /// ends. The caller has charged the address.
  ///
  /// An unknown, used or expired code is `enrolmentInvalid`, after one read of the database in each case. Throws
  /// `tooManyDevices`, `deviceNameTaken` and `groupNotFound`, after which the code still works, and the errors of the hasher and of
  /// idempotency keys.
  ///
  /// - Parameters:
  ///   - code: nil for what is no code.
  ///   - deviceName: the name of a new device; nil for the enrolment's, or for one that is made from its id.
  public func enrol(
    with code: EnrolmentCode?, deviceName: DeviceName?, key: IdempotencyKey?, requestID: String
  ) async throws(RegistryError) -> RegisteredDevice {
    let hash = code?.withCharacters(hasher.hash(ofToken:)) ?? Self.nobodysHash
    let found = try await store.enrolment(withCode: hash)
    guard let found else {
      // What the key of a used code costs.
      if let key { _ = try await store.idempotencyKey(key, of: Self.nobody, maximum: 1) }
      throw .enrolmentInvalid
    }
    let now = clock.now()
    let deviceID = found.replacesSecret ? found.deviceID! : DeviceID(at: now, random: random)
    let change = Change(by: .device(deviceID), at: now, requestID: requestID)
    return try await idempotency.once(key, of: found.clientID, change: change) {
      (change) async throws(RegistryError) in
      guard found.status(at: now) == .open else { throw .enrolmentInvalid }
      if found.replacesSecret { return try await replaceSecret(of: deviceID, with: found, change: change) }
      var name = deviceName ?? found.deviceName
      if name == nil { name = try DeviceName("device \(found.id.description.suffix(12))") }
      return try await register(deviceID, named: name!, with: found, change: change)
    } replay: { (id) throws(RegistryError) in
      throw .secretAlreadyShown(.device, id: id)
    }.value
  }

  private func register(
    _ id: DeviceID, named name: DeviceName, with enrolment: Enrolment, change: Change
  ) async throws(RegistryError) -> RegisteredDevice {
    let client = enrolment.clientID
    do throws(RegistryError) {
      try await store.checkRegistration(of: name, for: client, maxDevices: devices.maxDevicesPerClient)
      let (secret, verifier) = try await devices.newSecret(for: client, isRotation: false)
      let device = Device(
        registered: id, clientID: client, deviceName: name, labels: enrolment.labels, groups: enrolment.groups,
        expiresAt: enrolment.deviceExpiresAt, at: change.time)
      let isEnrolled = try await store.enrol(
        device, verifier: verifier, with: enrolment.id, maxDevices: devices.maxDevicesPerClient, change: change)
      guard isEnrolled else { throw .enrolmentInvalid }
      observer.changed(RegistryEvent(.deviceEnrolled, by: change, of: client, device: id))
      return RegisteredDevice(device: device, secret: secret, hmacKeyHash: verifier.hmacKeyHash)
    } catch {
      throw error == .clientNotFound ? .enrolmentInvalid : error
    }
  }

  private func replaceSecret(
    of id: DeviceID, with enrolment: Enrolment, change: Change
  ) async throws(RegistryError) -> RegisteredDevice {
    let client = enrolment.clientID
    // Saves hashing a secret that could not be stored.
    guard try await store.device(id)?.isRevoked == false else { throw .enrolmentInvalid }
    let (secret, verifier) = try await devices.newSecret(for: client, isRotation: true)
    // Also after an error: the database may have committed the change.
    defer { live.credentialsChanged(of: id) }
    let device = try await store.replaceSecret(
      of: id, of: client, by: verifier, with: enrolment.id, change: change)
    guard let device else { throw .enrolmentInvalid }
    observer.changed(RegistryEvent(.deviceEnrolled, by: change, of: client, device: id))
    return RegisteredDevice(device: device, secret: secret, hmacKeyHash: verifier.hmacKeyHash)
  }

  /// No code has this hash.
  private static let nobodysHash = TokenHash([UInt8](repeating: 0, count: TokenHash.length))
  /// No client has this id.
  private static let nobody = ClientID(stored: "")
}
