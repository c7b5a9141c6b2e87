import Registry
import Synchronization
import TestSupport

/// A store around another one. A test can run code between an operation and its return, or replace its result
/// by an error.
final class InterruptibleStore: UnusableStore {
  enum Operation: CaseIterable {
    case credentials, tokenCredentials, pendingSignals
    case revokeDevice, suspendDevice, suspendClient, rotateSecret, promoteNextSecret, insertToken, deleteClient
  }
  typealias Interruption = @Sendable () async throws(RegistryError) -> Void

  private let store: any RegistryStore
  let error = RegistryError.fault(cause: "not for this test")
  private let interruptions = Mutex<[Operation: Interruption]>([:])

  init(_ store: any RegistryStore) { self.store = store }

  /// Runs the interruption after the next operation of the kind. If the interruption throws, so does the
  /// operation.
  func interrupt(_ operation: Operation, _ interruption: @escaping Interruption) {
    interruptions.withLock { $0[operation] = interruption }
  }

  private func done(_ operation: Operation) async throws(RegistryError) {
    let interruption = interruptions.withLock { $0.removeValue(forKey: operation) }
    try await interruption?()
  }

  // MARK: Clients and devices

  func insertClient(_ client: Client, change: Change) async throws(RegistryError) {
    try await store.insertClient(client, change: change)
  }

  func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool {
    let isDeleted = try await store.deleteClient(id, change: change)
    try await done(.deleteClient)
    return isDeleted
  }

  func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError) {
    try await store.checkRegistration(of: deviceName, for: clientID, maxDevices: maxDevices)
  }

  func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int, change: Change
  ) async throws(RegistryError) {
    try await store.insertDevice(device, verifier: verifier, maxDevices: maxDevices, change: change)
  }

  func device(_ id: DeviceID) async throws(RegistryError) -> Device? { try await store.device(id) }

  func revokeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? {
    let device = try await store.revokeDevice(id, of: owner, change: change)
    try await done(.revokeDevice)
    return device
  }

  func suspendDevice(
    _ id: DeviceID, of owner: ClientID, until: Timestamp?, change: Change
  ) async throws(RegistryError) -> Device? {
    let device = try await store.suspendDevice(id, of: owner, until: until, change: change)
    try await done(.suspendDevice)
    return device
  }

  func suspendClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client? {
    let client = try await store.suspendClient(id, change: change)
    try await done(.suspendClient)
    return client
  }

  // MARK: Credentials

  func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? {
    let credentials = try await store.credentials(of: id)
    try await done(.credentials)
    return credentials
  }

  func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)? {
    let rotated = try await store.rotateSecret(
      of: id, of: owner, to: verifier, graceExpiresAt: graceExpiresAt, change: change)
    try await done(.rotateSecret)
    return rotated
  }

  func promoteNextSecret(
    of id: DeviceID, owner: ClientID, hmacKeyHash: String, change: Change
  ) async throws(RegistryError) -> Bool {
    let isPromoted = try await store.promoteNextSecret(
      of: id, owner: owner, hmacKeyHash: hmacKeyHash, change: change)
    try await done(.promoteNextSecret)
    return isPromoted
  }

  func insertToken(
    _ hash: TokenHash, of id: DeviceID, owner: ClientID, hmacKeyHash: String, expiresAt: Timestamp,
    at time: Timestamp, maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool {
    let isStored = try await store.insertToken(
      hash, of: id, owner: owner, hmacKeyHash: hmacKeyHash, expiresAt: expiresAt, at: time, maxLive: maxLive,
      windowSeconds: windowSeconds)
    try await done(.insertToken)
    return isStored
  }

  func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials? {
    let credentials = try await store.credentials(ofToken: hash, at: time)
    try await done(.tokenCredentials)
    return credentials
  }

  // MARK: Signals

  func insertSignal(
    _ signal: Signal, to selector: DeviceSelector, bounds: SignalBounds, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress {
    try await store.insertSignal(signal, to: selector, bounds: bounds, step: step, change: change)
  }

  func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool] {
    try await store.acknowledge(acknowledgements, by: id, owner: owner, change: change)
  }

  func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device? {
    try await store.renameDevice(id, of: owner, to: deviceName, change: change)
  }

  func signals(
    for id: DeviceID, of owner: ClientID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> DeviceSignals {
    let signals = try await store.signals(for: id, of: owner, at: time, limit: limit)
    try await done(.pendingSignals)
    return signals
  }
}
