private import Synchronization

/// The state that the process keeps in memory about its devices: cached credentials, parked polls, and
/// presence. All loops share it.
public final class LiveDevices: ChangeObserver {
  let cache: VerifierCache
  let clients: ClientCache
  /// The polls that wait for a signal.
  public let parked: ParkedPolls
  /// The requests that wait for events.
  public let readers = ParkedReaders()
  /// The clients with new events, for the deliverer of webhooks.
  public let recorded = RecordedClients()
  /// The same for the Telegram bot.
  public let recordedForTelegram = RecordedClients()
  let presence: PresenceBook
  let handOuts = HandOutBook()
  let signalIDs = IdentifierSequence()
  let tokenRequests = TokenRequests()
  let runningKeys = RunningKeys()
  let confirmations = ModeConfirmations()
  private let feedLag = Atomic<Int64>(0)
  let monotonicMilliseconds: @Sendable () -> Int64
  /// How long after its last request a device is offline.
  public let offlineAfterMilliseconds: Int64
  /// When all parked polls were last woken because changes may have been missed.
  private let lastLook = Mutex(Int64.min)

  /// How often parked polls query the database while the process is not notified of changes.
  static let lookIntervalMilliseconds: Int64 = 1000

  /// - Parameter monotonicMilliseconds: a monotonic clock.
  public init(
    monotonicMilliseconds: @escaping @Sendable () -> Int64, maximumParkedPolls: Int = 20_000,
    offlineAfterSeconds: Int = Device.defaultOfflineAfterSeconds
  ) {
    offlineAfterMilliseconds = Int64(offlineAfterSeconds) * 1000
    parked = ParkedPolls(maximumParked: maximumParkedPolls)
    self.monotonicMilliseconds = monotonicMilliseconds
    cache = VerifierCache(monotonicMilliseconds: monotonicMilliseconds)
    clients = ClientCache()
    presence = PresenceBook(monotonicMilliseconds: monotonicMilliseconds)
  }

  // MARK: Changes

  public func credentialsChanged(of id: DeviceID) {
    cache.credentialsChanged(of: id)
    parked.look(CollectionOfOne(id))
  }

  func credentialsChanged(of ids: [DeviceID]) {
    for id in ids { cache.credentialsChanged(of: id) }
    parked.look(ids)
  }

  public func clientChanged(_ id: ClientID) {
    clients.forget(id)
    cache.credentialsChanged(ofDevicesOf: id)
    parked.look(devicesOf: id)
    readers.wake(id)
  }

  public func signalsArrived(for id: DeviceID) {
    cache.signalsArrived(for: id)
    parked.look(CollectionOfOne(id))
  }

  func signalsArrived(for ids: [DeviceID]) {
    for id in ids { cache.signalsArrived(for: id) }
    parked.look(ids)
  }

  public func signalsArrived(forDevicesOf client: ClientID) {
    cache.signalsArrived(forDevicesOf: client)
    parked.look(devicesOf: client)
  }

  public func eventsRecorded(of client: ClientID) {
    readers.wake(client)
    recorded.note(client)
    recordedForTelegram.note(client)
  }

  public func eventsMissed() {
    readers.wakeAll()
    recorded.noteAll()
    recordedForTelegram.noteAll()
  }

  public func changesMissed() {
    clients.forgetAll()
    cache.forgetAll()
    parked.wakeAll()
    eventsMissed()
  }

  public func trust(untilMilliseconds: Int64) { cache.trust(untilMilliseconds: untilMilliseconds) }

  // MARK: Periodic work

  /// Ends overdue polls. While changes may be missed, also wakes the parked polls so that they query the
  /// database. Called some 20 times a second.
  public func tick() {
    let now = monotonicMilliseconds()
    parked.endOverdue(nowMilliseconds: now)
    readers.endOverdue(nowMilliseconds: now)
    guard !cache.isTrusted else { return }
    let isDue = lastLook.withLock { last in
      guard now >= last &+ Self.lookIntervalMilliseconds || last == .min else { return false }
      last = now
      return true
    }
    guard isDue else { return }
    parked.wakeAll()
    eventsMissed()
  }

  /// Ends all waits because the service stops, and parks no more.
  public func stopParking() {
    parked.close()
    readers.close()
  }

  /// Writes the collected presence and statistics, 2,000 devices in a statement. On an error, keeps what is not written for
  /// the next call: what the database committed before it lost the connection then counts twice.
  public func flushPresence(
    to store: some PresenceStore, observer: any RegistryObserver = Unobserved(), at time: Timestamp
  ) async throws(RegistryError) {
    var left = presence.take()[...]
    guard !left.isEmpty else { return }
    let change = Change(by: .system, at: time)
    do throws(RegistryError) {
      while !left.isEmpty {
        let online = try await store.recordActivity(
          Array(left.prefix(PresenceBook.maximumPerStatement)),
          offlineAfterMilliseconds: offlineAfterMilliseconds, change: change)
        left = left.dropFirst(PresenceBook.maximumPerStatement)
        for device in online {
          observer.changed(RegistryEvent(.deviceOnline, by: change, of: device.clientID, device: device.id))
        }
      }
      presence.written()
    } catch {
      presence.putBack(left)
      throw error
    }
  }

  /// Writes which signals were handed out since the last call, and counts those. On an error, keeps what is not written for
  /// the next call.
  public func flushHandOuts(to store: some SignalStore) async throws(RegistryError) {
    var left = handOuts.take()
    do throws(RegistryError) {
      while !left.isEmpty {
        let stored = try await store.recordHandOuts(Array(left.prefix(HandOutBook.maximumPerStatement)))
        left = left.dropFirst(HandOutBook.maximumPerStatement)
        for handOut in stored {
          presence.count(handOut.deviceID, of: handOut.clientID, at: handOut.at) {
            $0.countHandOut(milliseconds: handOut.at - handOut.signalID.time)
          }
        }
      }
    } catch {
      handOuts.putBack(left)
      throw error
    }
  }

  /// Measures how late readers see events.
  public func measureFeed(of store: some EventStore, at now: Timestamp) async throws(RegistryError) {
    let first = try await store.firstHiddenEvent()
    feedLag.store(first.map { max(0, now - $0) } ?? 0, ordering: .relaxed)
  }

  // MARK: For the metrics

  /// Age of the oldest event that readers did not see yet when `measureFeed` looked last; 0 if they saw all.
  public var feedLagMilliseconds: Int64 { feedLag.load(ordering: .relaxed) }

  /// Devices whose credentials are cached.
  public var rememberedDevices: Int { cache.count }
  /// Whether the process is notified of every change in the database.
  public var isTrusted: Bool { cache.isTrusted }
  /// Devices whose presence is not written yet.
  public var pendingPresence: Int { presence.count }
  /// Deliveries that were handed out, which is not written yet.
  public var pendingHandOuts: Int { handOuts.count }
  /// Age of the oldest presence that is not written yet; 0 if there is none.
  public var presenceLagMilliseconds: Int64 { presence.lagMilliseconds }
  /// Cache look-ups since the process started.
  public var cacheLookups: CacheLookups { cache.lookups }
}
