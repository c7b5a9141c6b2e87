// What the registry needs from outside. Server plugs the adapters in.

/// Tells the time.
public protocol Clock: Sendable {
  func now() -> Timestamp
}

/// A cryptographically secure source of random bytes.
public protocol RandomSource: Sendable {
  /// Fills the whole buffer.
  func fill(_ buffer: UnsafeMutableRawBufferPointer)
}

/// Derives what is stored of a secret.
public protocol PasswordHasher: Sendable {
  /// Takes tens of milliseconds of a processor by design, off the event loop.
  /// Throws `overloaded` when too many wait, `fault` when memory for argon2id cannot be had.
  func verifier(for secret: DeviceSecret) async throws(RegistryError) -> SecretVerifier
}

/// Where a list that comes in pages goes on: behind this row.
public struct DeviceCursor: Hashable, Sendable {
  public let createdAt: Timestamp
  public let id: DeviceID

  public init(createdAt: Timestamp, id: DeviceID) {
    self.createdAt = createdAt
    self.id = id
  }
}

/// Where a list that comes in pages goes on: behind this row.
public struct ClientCursor: Hashable, Sendable {
  public let createdAt: Timestamp
  public let id: ClientID

  public init(createdAt: Timestamp, id: ClientID) {
    self.createdAt = createdAt
    self.id = id
  }
}

/// The database. It holds the rules on uniqueness, references, cascades and the finality of revocation, and
/// every write is one statement, so that no race breaks them.
///
/// Besides the errors that each operation names, each throws `overloaded`, `unavailable` and `fault`.
public protocol DeviceStore: Sendable {
  /// Throws unless the database answers now.
  func ping() async throws(RegistryError)

  /// Throws `clientIDTaken`, `clientEmailTaken`.
  func insertClient(_ client: Client) async throws(RegistryError)

  func client(_ id: ClientID) async throws(RegistryError) -> Client?

  /// At most `limit` clients behind `cursor`, oldest first, then by the bytes of their id.
  func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client]

  /// Deletes the client and, by the database's cascade, its devices. False if there was none.
  func deleteClient(_ id: ClientID) async throws(RegistryError) -> Bool

  /// Throws what `insertDevice` would throw now: `clientNotFound`, `tooManyDevices`, `deviceNameTaken`, in this
  /// order. It promises nothing, but spares the hash of a secret that could not be stored.
  func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError)

  /// Throws `clientNotFound`, `tooManyDevices` when the client has `maxDevices`, `deviceNameTaken`.
  func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int
  ) async throws(RegistryError)

  func device(_ id: DeviceID) async throws(RegistryError) -> Device?

  /// At most `limit` devices of the client behind `cursor`, active and revoked, oldest first, then by id.
  func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device]

  /// Renames the device if it is the owner's and not revoked, and answers it as it then is; nil if it is not.
  /// Throws `deviceNameTaken`.
  func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, at time: Timestamp
  ) async throws(RegistryError) -> Device?

  /// Revokes the device if it is the owner's and not revoked, and answers it as it then is; nil if it is not.
  func revokeDevice(
    _ id: DeviceID, of owner: ClientID, at time: Timestamp
  ) async throws(RegistryError) -> Device?
}
