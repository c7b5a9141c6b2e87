private import Synchronization

/// Makes changes once for each idempotency key. Each event loop has one, with the loop's own store.
public struct IdempotencyService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices

  init(store: any RegistryStore, live: LiveDevices) {
    self.store = store
    self.live = live
  }

  /// What a request with a key led to.
  public struct Once<Value: Sendable>: Sendable {
    public let value: Value
    /// Whether an earlier request with the key led to it.
    public let isReplayed: Bool
  }

  /// Calls `create`, unless the client has used the key.
  ///
  /// Throws `idempotencyMismatch` if it was used for another request, `idempotencyInProgress` while a request with the key
  /// runs in this process, and `tooManyIdempotencyKeys`.
  ///
  /// - Parameters:
  ///   - key: nil to call `create` in any case.
  ///   - create: makes the change, in one transaction with the use of the key.
  ///   - replay: returns again what has the id.
  public func once<Value>(
    _ key: IdempotencyKey?, of client: ClientID, change: Change,
    create: (Change) async throws(RegistryError) -> Value,
    replay: (_ resourceID: String) async throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Once<Value> {
    guard let key else { return Once(value: try await create(change), isReplayed: false) }
    let claim = IdempotencyClaim(clientID: client, key: key)
    guard live.runningKeys.begin(claim) else { throw .idempotencyInProgress }
    defer { live.runningKeys.end(claim) }
    if let resourceID = try await resourceID(of: key, of: client) {
      return Once(value: try await replay(resourceID), isReplayed: true)
    }
    do throws(RegistryError) {
      return Once(value: try await create(change.claiming(claim)), isReplayed: false)
    } catch {
      // Another process used the key meanwhile.
      guard error == .idempotencyKeyUsed, let resourceID = try await resourceID(of: key, of: client) else {
        throw error
      }
      return Once(value: try await replay(resourceID), isReplayed: true)
    }
  }

  private func resourceID(
    of key: IdempotencyKey, of client: ClientID
  ) async throws(RegistryError) -> String? {
    let (used, isFull) = try await store.idempotencyKey(
      key, of: client, maximum: IdempotencyKey.maximumPerClient)
    guard let used else {
      if isFull { throw .tooManyIdempotencyKeys(limit: IdempotencyKey.maximumPerClient) }
      return nil
    }
    guard used.request == key.request else { throw .idempotencyMismatch }
    return used.resourceID
  }
}

/// The keys whose requests run now in this process: as many as requests. All loops share it.
final class RunningKeys: Sendable {
  private struct Name: Hashable {
    let clientID: ClientID
    let key: String

    init(_ claim: IdempotencyClaim) { (clientID, key) = (claim.clientID, claim.key.text) }
  }

  private let names = Mutex<Set<Name>>([])

  /// False if a request with the key runs.
  func begin(_ claim: IdempotencyClaim) -> Bool { names.withLock { $0.insert(Name(claim)).inserted } }

  func end(_ claim: IdempotencyClaim) { names.withLock { _ = $0.remove(Name(claim)) } }
}
