private import Synchronization

/// What the process knows of its devices beside the database: who they are, who waits, when they were last there.
/// Shared by all loops; it hears what changes in the database.
public final class LiveDevices: ChangeObserver {
  let cache: VerifierCache
  /// The polls that wait for a signal.
  public let parked: ParkedPolls
  let presence: PresenceBook
  let signalIDs = IdentifierSequence()
  let tokenRequests = TokenRequests()
  let monotonicMilliseconds: @Sendable () -> Int64
  /// When polls that are parked were last told to look for themselves.
  private let lastLook = Mutex(Int64.min)

  /// How often parked polls look for themselves while the database's changes are not heard.
  static let lookIntervalMilliseconds: Int64 = 1000

  /// - Parameter monotonicMilliseconds: a clock that nobody sets.
  public init(
    monotonicMilliseconds: @escaping @Sendable () -> Int64, maximumParkedPolls: Int = 20_000
  ) {
    parked = ParkedPolls(maximumParked: maximumParkedPolls)
    self.monotonicMilliseconds = monotonicMilliseconds
    cache = VerifierCache(monotonicMilliseconds: monotonicMilliseconds)
    presence = PresenceBook(monotonicMilliseconds: monotonicMilliseconds)
  }

  // MARK: Changes

  public func credentialsChanged(of id: DeviceID) {
    cache.credentialsChanged(of: id)
    parked.wake(id)
  }

  /// Of all the client's devices, or the client is gone.
  func credentialsChanged(ofDevicesOf client: ClientID) {
    cache.credentialsChanged(ofDevicesOf: client)
    parked.wakeAll()
  }

  public func signalsArrived(for id: DeviceID) {
    cache.signalsArrived(for: id)
    parked.look(CollectionOfOne(id))
  }

  /// For several devices.
  func signalsArrived(for ids: [DeviceID]) {
    for id in ids { cache.signalsArrived(for: id) }
    parked.look(ids)
  }

  /// For any of the client's devices.
  func signalsArrived(forDevicesOf client: ClientID) {
    cache.signalsArrived(forDevicesOf: client)
    parked.wakeAll()
  }

  public func changesMissed() {
    cache.forgetAll()
    parked.wakeAll()
  }

  public func trust(untilMilliseconds: Int64) { cache.trust(untilMilliseconds: untilMilliseconds) }

  // MARK: What goes on by itself

  /// Ends parked polls whose time is over, and while changes are not heard lets them look for themselves. Called
  /// some 20 times a second.
  public func tick() {
    let now = monotonicMilliseconds()
    parked.endOverdue(nowMilliseconds: now)
    guard !cache.isTrusted else { return }
    let isDue = lastLook.withLock { last in
      guard now >= last &+ Self.lookIntervalMilliseconds || last == .min else { return false }
      last = now
      return true
    }
    if isDue { parked.wakeAll() }
  }

  /// Writes the presence that was gathered, in one statement. What cannot be written is kept for the next time.
  public func flushPresence(to store: some PresenceStore) async throws(RegistryError) {
    let gathered = presence.take()
    guard !gathered.isEmpty else { return }
    do throws(RegistryError) {
      try await store.recordPresence(gathered)
      presence.written()
    } catch {
      presence.putBack(gathered)
      throw error
    }
  }

  // MARK: For the metrics

  /// Devices whose credentials are remembered.
  public var rememberedDevices: Int { cache.count }
  /// Whether the database's changes are heard.
  public var isTrusted: Bool { cache.isTrusted }
  /// Devices whose presence is not written yet.
  public var pendingPresence: Int { presence.count }
  /// Age of the oldest presence that is not written yet; 0 where all is.
  public var presenceLagMilliseconds: Int64 { presence.lagMilliseconds }
  /// Looks for credentials up to now.
  public var cacheLookups: CacheLookups { cache.lookups }
}
