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

/// Derives what is stored of a secret or a token.
public protocol PasswordHasher: Sendable {
  /// Takes tens of milliseconds of a processor by design, off the event loop.
  /// Throws `overloaded` when too many wait, `fault` when memory for argon2id cannot be had.
  func verifier(for secret: DeviceSecret) async throws(RegistryError) -> SecretVerifier

  /// What tells whether a stored key (RFC 5802, section 3) is the secret's, in constant time. Takes microseconds: the
  /// secret's own is derived once.
  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool

  /// Whether the argon2id PHC string is the secret's. Takes as long as `verifier(for:)`.
  /// Throws `overloaded` when too many wait.
  func verify(_ secret: DeviceSecret, against hmacKeyHash: String) async throws(RegistryError) -> Bool

  /// The SHA-256 of a token's characters.
  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash
}

/// Remembers the nonces of signed requests (RFC 9421, section 7.2.2), so that none counts twice.
public protocol ReplayStore: Sendable {
  /// Tests and stores the nonce in one step. False if the device used it before, on any process.
  ///
  /// It is remembered at least until `expiry`. Throws `replayUnavailable` where it cannot be known whether the
  /// nonce was used: the store is out of reach, or began to remember only after `created`; and `overloaded` where
  /// there is no room for it.
  func remember(
    nonce: String, of deviceID: DeviceID, created: Timestamp, until expiry: Timestamp
  ) async throws(RegistryError) -> Bool
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
public typealias RegistryStore = DeviceStore & CredentialStore & SignalStore

/// The database's part on clients and devices.
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

/// The database's part on what devices prove themselves with.
public protocol CredentialStore: Sendable {
  /// Whether there is any device at all.
  func hasDevices() async throws(RegistryError) -> Bool

  /// Nil if there is no such device.
  func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials?

  /// Gives the device a next secret, if it is the owner's and not revoked, and answers the device and when the
  /// secret in force ends; nil if it is not.
  ///
  /// While a rotation is under way already, its next secret is replaced, and its end stays where it is unless
  /// `graceExpiresAt` lies before it. Where `graceExpiresAt` is not after `time`, the new secret is in force at
  /// once, nothing is next, and the tokens of the old one are gone.
  func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    at time: Timestamp
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)?

  /// Puts the next secret in force, ends the one that was, and its tokens with it. False, and nothing happens,
  /// unless the device may come in and its next secret has this stored key.
  func promoteNextSecret(of id: DeviceID, storedKey: [UInt8]) async throws(RegistryError) -> Bool

  /// Stores a token of the device, whose secret in force has this stored key. Of `maxLive` tokens that are live,
  /// the oldest makes room.
  ///
  /// False, and nothing happens, if the device may not come in at `time` or has another secret now. Throws
  /// `tooManyTokens` if `maxLive` tokens were stored in the `windowSeconds` before `time`.
  func insertToken(
    _ hash: TokenHash, of id: DeviceID, storedKey: [UInt8], expiresAt: Timestamp, at time: Timestamp,
    maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool

  /// Nil if there is no such token, or it has expired by `time`.
  func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials?

  /// Moves the presence of devices forward, never back. Devices that are gone are left out.
  func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError)

  /// Removes tokens that expired before `time`, `limit` of them at the most, and answers how many.
  func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int
}

/// The database's part on signals.
public protocol SignalStore: Sendable {
  /// Stores a signal and a delivery for each addressee, and answers how many those are.
  ///
  /// Throws, and stores nothing: `clientNotFound`; `deviceNotFound`, `notOwner`, `deviceRevoked` where any of the
  /// addressees is so, in this order; `tooManySignals` when the client has `maxLive` signals that have not expired.
  func insertSignal(
    _ signal: Signal, to addressees: Addressees, maxLive: Int
  ) async throws(RegistryError) -> Int

  /// At most `limit` of the client's signals behind `cursor`, newest first, expired ones included.
  func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary]

  /// A signal, and how many devices it was sent to.
  func signal(_ id: SignalID) async throws(RegistryError) -> (signal: Signal, devices: Int)?

  /// All of a signal's deliveries, by their device's id; those of devices that are gone are gone.
  func deliveries(of id: SignalID) async throws(RegistryError) -> [Delivery]

  /// At most `limit` signals to the device that are neither acknowledged nor expired at `time`, oldest first.
  func pendingSignals(
    of id: DeviceID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [Signal]

  /// Stores those acknowledgements that are the first of their delivery, and answers for which of the signals
  /// there is a delivery to the device. Each signal is in the list once.
  func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, at time: Timestamp
  ) async throws(RegistryError) -> Set<SignalID>

  /// Removes signals that expired before `time`, `limit` of them at the most, and answers how many.
  func removeSignals(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int
}

/// Hears what changed in the database, whoever changed it: this process, another one, or SQL by hand. Calls come
/// from any thread, and return at once.
public protocol ChangeObserver: AnyObject, Sendable {
  /// The device's secrets, its tokens or its state changed, or it is gone.
  func credentialsChanged(of id: DeviceID)
  /// There are new signals for the device.
  func signalsArrived(for id: DeviceID)
  /// Changes may have been missed: whatever is remembered may be wrong.
  func changesMissed()
  /// Up to this moment of the monotonic clock, in milliseconds, no change is missed.
  func trust(untilMilliseconds: Int64)
}
