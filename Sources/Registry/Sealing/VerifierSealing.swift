public import Encoding

/// A verifier as a database stores it: its keys are boxes, or plain if they were stored without a sealer.
public struct StoredVerifier: Hashable, Redacted, Sendable {
  public let hmacKeyHash: String
  public let storedKey: [UInt8]
  public let serverKey: [UInt8]

  public init(hmacKeyHash: String, storedKey: [UInt8], serverKey: [UInt8]) {
    self.hmacKeyHash = hmacKeyHash
    self.storedKey = storedKey
    self.serverKey = serverKey
  }
}

/// Credentials as a database stores them.
public struct StoredCredentials: Sendable {
  public let deviceID: DeviceID
  public let clientID: ClientID
  public let access: DeviceAccess
  public let current: StoredVerifier
  public let next: StoredVerifier?
  public let graceExpiresAt: Timestamp?
  public let signsAheadUntil: Timestamp?
  public let terminal: Terminal

  public init(
    deviceID: DeviceID, clientID: ClientID, access: DeviceAccess, current: StoredVerifier,
    next: StoredVerifier?, graceExpiresAt: Timestamp?, signsAheadUntil: Timestamp?, terminal: Terminal
  ) {
    self.deviceID = deviceID
    self.clientID = clientID
    self.access = access
    self.current = current
    self.next = next
    self.graceExpiresAt = graceExpiresAt
    self.signsAheadUntil = signsAheadUntil
    self.terminal = terminal
  }
}

/// Seals the keys of verifiers before they are stored, and opens them when they are read. Without a sealer it stores and
/// reads plain keys.
///
/// Plain keys are read with a sealer too, until `device-registry seal` has sealed them. So sealing keeps secrets from who
/// reads the database; who can write it can enter a verifier.
public struct VerifierSealing: Sendable {
  private let sealer: (any Sealer)?

  public init(_ sealer: (any Sealer)?) { self.sealer = sealer }

  /// The place of the stored key, current or next: the end of a rotation moves the box from one column to the other.
  private static func storedKey(of id: DeviceID) -> SealedPlace {
    SealedPlace(table: "devices", column: "stored_key", id: id.description)
  }

  /// The place of the server key, current or next.
  private static func serverKey(of id: DeviceID) -> SealedPlace {
    SealedPlace(table: "devices", column: "server_key", id: id.description)
  }

  /// The verifier to store for the device.
  public func seal(_ verifier: SecretVerifier, of id: DeviceID) -> StoredVerifier {
    StoredVerifier(
      hmacKeyHash: verifier.hmacKeyHash, storedKey: seal(verifier.storedKey, for: Self.storedKey(of: id)),
      serverKey: seal(verifier.serverKey, for: Self.serverKey(of: id)))
  }

  private func seal(_ key: [UInt8], for place: SealedPlace) -> [UInt8] {
    guard let sealer else { return key }
    return key.withUnsafeBufferPointer { sealer.seal($0, for: place) }
  }

  /// Throws `unavailable` if a key does not open.
  public func open(_ stored: StoredCredentials) throws(RegistryError) -> DeviceCredentials {
    let current = try open(stored.current, of: stored.deviceID)
    var next: SecretVerifier?
    if let storedNext = stored.next { next = try open(storedNext, of: stored.deviceID) }
    return DeviceCredentials(
      deviceID: stored.deviceID, clientID: stored.clientID, access: stored.access, current: current,
      next: next, graceExpiresAt: stored.graceExpiresAt, signsAheadUntil: stored.signsAheadUntil,
      terminal: stored.terminal)
  }

  private func open(_ stored: StoredVerifier, of id: DeviceID) throws(RegistryError) -> SecretVerifier {
    SecretVerifier(
      hmacKeyHash: stored.hmacKeyHash, storedKey: try open(stored.storedKey, of: Self.storedKey(of: id)),
      serverKey: try open(stored.serverKey, of: Self.serverKey(of: id)))
  }

  private func open(
    _ key: [UInt8], of place: @autoclosure () -> SealedPlace
  ) throws(RegistryError) -> [UInt8] {
    if key.count == SecretVerifier.keyLength { return key }
    guard let sealer else {
      throw .unavailable(cause: "\(place()) is sealed, and SEALING_KEY_FILE is not set")
    }
    let plain = try sealer.open(key, of: place()).withBytes(Array.init)
    guard plain.count == SecretVerifier.keyLength else {
      throw .unavailable(cause: "\(place()) has \(plain.count) bytes instead of \(SecretVerifier.keyLength)")
    }
    return plain
  }

  /// The box of the place, sealed with the sealer's first key; nil if it is so already, or without a sealer. Throws
  /// `unavailable` if it does not open.
  public func sealAgain(_ box: [UInt8], of place: SealedPlace) throws(RegistryError) -> [UInt8]? {
    guard let sealer, let key = sealer.keys.first, SealingKeyID(ofBox: box) != key else { return nil }
    return try sealer.open(box, of: place).withBytes { sealer.seal($0, for: place) }
  }

  /// The credentials with each key sealed by the sealer's first key; nil if they are so already, or without a sealer.
  /// Throws `unavailable` if a key does not open.
  public func sealAgain(_ stored: StoredCredentials) throws(RegistryError) -> StoredCredentials? {
    guard let key = sealer?.keys.first else { return nil }
    let keys = [stored.current, stored.next].compactMap { $0 }.flatMap { [$0.storedKey, $0.serverKey] }
    let areSealed = keys.allSatisfy { $0.count > SecretVerifier.keyLength && SealingKeyID(ofBox: $0) == key }
    guard !areSealed else { return nil }
    let plain = try open(stored)
    return StoredCredentials(
      deviceID: stored.deviceID, clientID: stored.clientID, access: stored.access,
      current: seal(plain.current, of: stored.deviceID),
      next: plain.next.map { seal($0, of: stored.deviceID) }, graceExpiresAt: stored.graceExpiresAt,
      signsAheadUntil: stored.signsAheadUntil, terminal: stored.terminal)
  }
}
