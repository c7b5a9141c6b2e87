/// The operations on signals. A signal is delivered to each device at least once, oldest first, until the
/// device acknowledges it or it expires. Each event loop has one, with the loop's own store.
public struct SignalService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let authentication: AuthenticationService
  private let clock: any Clock
  private let random: any RandomSource
  private let observer: any RegistryObserver
  private let limits: RateLimits
  private let bounds: SignalBounds

  /// The maximum number of unexpired signals of one client.
  public static let maximumLive = 10_000
  /// Deliveries that one statement stores.
  public static let deliveriesPerStep = 2000
  /// The page size of a list when the caller gives no limit.
  public static let defaultPage = 100
  /// The largest page of deliveries, and the page size when the caller gives no limit.
  public static let maximumDeliveryPage = 1000
  /// How long a poll may wait, in seconds.
  public static let waitSeconds = 0...30
  /// How many signals one poll may request.
  public static let pollSize = 1...100

  init(
    store: any RegistryStore, live: LiveDevices, authentication: AuthenticationService, clock: any Clock,
    random: any RandomSource, observer: any RegistryObserver, limits: RateLimits, bounds: SignalBounds
  ) {
    self.store = store
    self.live = live
    self.authentication = authentication
    self.clock = clock
    self.random = random
    self.observer = observer
    self.limits = limits
    self.bounds = bounds
  }

  // MARK: Owners

  /// Sends a signal, for whose deliveries the client is charged, and wakes the parked polls of its devices. On an
  /// error no device gets it. Throws `clientNotFound`, `groupNotFound`, `deviceNotFound`, `notOwner`,
  /// `deviceRevoked`, `tooManySignals`, `tooManyKeptSignals`, `tooManyDeliveries`.
  public func createSignal(
    clientID: ClientID, payload: [UInt8], to selector: DeviceSelector, lifetimeSeconds: Int, change: Change
  ) async throws(RegistryError) -> SignalSummary {
    let signal = Signal(
      id: live.signalIDs.next(at: change.time, random: random), clientID: clientID, payload: payload,
      createdAt: change.time, expiresAt: change.time + Int64(lifetimeSeconds) * 1000)
    var progress = try await store.insertSignal(
      signal, to: selector, bounds: bounds, step: Self.deliveriesPerStep, change: change)
    // What was stored costs, also before an error.
    defer { limits.charge(clientID, cost: RequestCost.signal(deliveries: progress.deliveries)) }
    // As many steps as the client has devices allow. After an error, the background work removes what is stored.
    while progress.last != nil {
      progress = try await store.continueSignal(
        signal, to: selector, after: progress, step: Self.deliveriesPerStep, change: change)
    }
    observer.changed(RegistryEvent(.signalCreated, by: change, of: clientID, signal: signal.id))
    switch selector {
    case .devices(let ids): live.signalsArrived(for: ids)
    case .all: live.signalsArrived(forDevicesOf: clientID)
    // The database notifies the parked polls of these devices only.
    case .group, .labels: live.cache.signalsArrived(forDevicesOf: clientID)
    }
    return SignalSummary(
      id: signal.id, createdAt: signal.createdAt, expiresAt: signal.expiresAt, devices: progress.deliveries)
  }

  /// The client's signals, newest first, `limit` at a time.
  public func listSignals(
    clientID: ClientID, limit: Int = defaultPage, after cursor: SignalCursor? = nil
  ) async throws(RegistryError) -> Page<SignalSummary, SignalCursor> {
    let signals = try await store.signals(of: clientID, after: cursor, limit: limit + 1)
    return Page(signals, limit: limit) { SignalCursor(id: $0.id) }
  }

  /// A signal that an owner has sent before. Throws `signalNotFound`.
  public func getSummary(_ id: SignalID) async throws(RegistryError) -> SignalSummary {
    guard let (signal, devices) = try await store.signal(id) else { throw .signalNotFound }
    return SignalSummary(
      id: id, createdAt: signal.createdAt, expiresAt: signal.expiresAt, devices: devices)
  }

  /// A signal, the number of devices that it was sent to, and its deliveries to devices that still exist, `limit` at a
  /// time. Throws `signalNotFound`, `notSignalOwner`.
  public func getSignal(
    _ id: SignalID, owner: ClientID, limit: Int = maximumDeliveryPage, after cursor: DeviceID? = nil
  ) async throws(RegistryError) -> (signal: Signal, devices: Int, deliveries: Page<Delivery, DeviceID>) {
    guard let (signal, devices) = try await store.signal(id) else { throw .signalNotFound }
    guard signal.clientID == owner else { throw .notSignalOwner }
    let deliveries = try await store.deliveries(of: id, after: cursor, limit: limit + 1)
    return (signal, devices, Page(deliveries, limit: limit) { $0.deviceID })
  }

  // MARK: Devices

  /// The response to a poll.
  public struct Polled: Sendable {
    public let signals: [Signal]
    /// When to poll again, if the poll could not wait as requested.
    public let retryAfterSeconds: Int?

    fileprivate static let none = Polled(signals: [], retryAfterSeconds: nil)
    /// For a poll that could not wait.
    fileprivate static let later = Polled(signals: [], retryAfterSeconds: 1)
  }

  /// Unacknowledged and unexpired signals of the device, oldest first. If there are none, waits for one.
  ///
  /// The wait ends early when a newer poll of the device replaces this one, the service stops, or too many polls of
  /// the client wait. Throws `signatureInvalid` or `tokenInvalid` if the device's session is no longer valid, and
  /// `refused` if the device that signed may no longer be used.
  public func poll(
    _ session: DeviceSession, waitSeconds: Int, limit: Int
  ) async throws(RegistryError) -> Polled {
    live.presence.note(.polled, by: session.deviceID, at: clock.now())
    // The poll takes its seat before it queries, so a signal that arrives after the query wakes it.
    guard waitSeconds > 0, let seat = live.parked.takeSeat(for: session.deviceID, of: session.clientID)
    else {
      if waitSeconds == 0 { live.parked.end(session.deviceID) }
      let signals = try await pendingSignals(of: session, limit: limit)
      return waitSeconds > 0 && signals.isEmpty ? .later : Polled(signals: signals, retryAfterSeconds: nil)
    }
    defer { live.parked.leave(seat) }
    return try await signals(of: session, limit: limit, waitSeconds: waitSeconds, on: seat)
  }

  /// The result of acknowledging: each signal once, in the order of the request.
  public struct Acknowledged: Sendable {
    public let acked: [SignalID]
    /// Ids that are not those of signals sent to the device.
    public let unknown: [SignalID]
  }

  /// Stores what the device did with signals. Only the first acknowledgement of each signal is stored.
  public func acknowledge(
    _ session: DeviceSession, _ acknowledgements: [Acknowledgement]
  ) async throws(RegistryError) -> Acknowledged {
    let now = clock.now()
    live.presence.note(.acknowledged, by: session.deviceID, at: now)
    var seen: Set<SignalID> = []
    let first = acknowledgements.filter { seen.insert($0.signalID).inserted }
    guard !first.isEmpty else { return Acknowledged(acked: [], unknown: []) }
    let change = session.change(at: now)
    let known = try await store.acknowledge(
      first, by: session.deviceID, owner: session.clientID, change: change)
    var (acked, unknown): ([SignalID], [SignalID]) = ([], [])
    for acknowledgement in first {
      let id = acknowledgement.signalID
      if let isFirst = known[id] {
        acked.append(id)
        guard isFirst else { continue }
        observer.changed(
          RegistryEvent(
            .signalAcknowledged, by: change, of: session.clientID, device: session.deviceID, signal: id,
            status: acknowledgement.status))
      } else {
        unknown.append(id)
      }
    }
    if !unknown.isEmpty { observer.unknownSignalsAcknowledged(unknown.count) }
    return Acknowledged(acked: acked, unknown: unknown)
  }

  // MARK: Waiting

  private func signals(
    of session: DeviceSession, limit: Int, waitSeconds: Int, on seat: ParkedPolls.Seat
  ) async throws(RegistryError) -> Polled {
    let deadline = live.monotonicMilliseconds() + Int64(waitSeconds) * 1000
    var state = session.state
    while true {
      let signals = try await pendingSignals(of: session, limit: limit)
      guard signals.isEmpty else { return Polled(signals: signals, retryAfterSeconds: nil) }
      let (until, isSessionsEnd) = end(at: state.endsAt, orAt: deadline)
      switch await seat.wait(untilMilliseconds: until) {
      case .ended: return .none
      case .displaced: return .later
      case .timedOut where !isSessionsEnd: return .none
      // The session may have ended, or a rotation may have begun, or a signal may have arrived.
      case .timedOut, .changed: state = try await authentication.testAgain(session)
      }
    }
  }

  /// The earlier of the deadline and the end of the secret, the token or the device.
  private func end(at endsAt: Timestamp?, orAt deadline: Int64) -> (Int64, isSessionsEnd: Bool) {
    guard let endsAt else { return (deadline, false) }
    let end = live.monotonicMilliseconds() + max(0, endsAt - clock.now())
    return end < deadline ? (end, true) : (deadline, false)
  }

  /// Validates the session again: the device may have been revoked or suspended while its signals were fetched.
  private func pendingSignals(
    of session: DeviceSession, limit: Int
  ) async throws(RegistryError) -> [Signal] {
    let idleness = live.cache.idleness(of: session.deviceID)
    if let idleness, idleness.isIdle { return [] }
    let signals = try await store.pendingSignals(of: session.deviceID, at: clock.now(), limit: limit)
    guard signals.isEmpty else {
      _ = try await authentication.testAgain(session)
      return signals
    }
    if let idleness { live.cache.rememberIdle(session.deviceID, stamp: idleness.stamp) }
    return []
  }
}
