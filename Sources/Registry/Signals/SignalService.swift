/// The operations on signals. A signal is delivered to each device at least once, oldest first, until the
/// device acknowledges it or it expires. Each event loop has one, with the loop's own store.
public struct SignalService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let authentication: AuthenticationService
  private let terminals: TerminalService
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
  /// How long a poll waits at most that confirms another version of the trading mode than the current one: its device may
  /// have missed the answer that told it.
  static let unconfirmedWaitMilliseconds: Int64 = 5000

  init(
    store: any RegistryStore, live: LiveDevices, authentication: AuthenticationService,
    terminals: TerminalService, clock: any Clock, random: any RandomSource, observer: any RegistryObserver,
    limits: RateLimits, bounds: SignalBounds
  ) {
    self.store = store
    self.live = live
    self.authentication = authentication
    self.terminals = terminals
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
    guard let (signal, devices, cancelledAt) = try await store.signal(id) else { throw .signalNotFound }
    return SignalSummary(
      id: id, createdAt: signal.createdAt, expiresAt: signal.expiresAt, devices: devices,
      cancelledAt: cancelledAt)
  }

  /// A signal without and with its payload, and its deliveries to devices that still exist, `limit` at a time. Throws `signalNotFound`, `notSignalOwner`.
  public func getSignal(
    _ id: SignalID, owner: ClientID, limit: Int = maximumDeliveryPage, after cursor: DeviceID? = nil
  ) async throws(RegistryError) -> (
    signal: Signal, summary: SignalSummary, deliveries: Page<Delivery, DeviceID>
  ) {
    guard let (signal, devices, cancelledAt) = try await store.signal(id) else { throw .signalNotFound }
    guard signal.clientID == owner else { throw .notSignalOwner }
    let deliveries = try await store.deliveries(of: id, after: cursor, limit: limit + 1)
    let summary = SignalSummary(
      id: id, createdAt: signal.createdAt, expiresAt: signal.expiresAt, devices: devices,
      cancelledAt: cancelledAt)
    return (signal, summary, Page(deliveries, limit: limit) { $0.deviceID })
  }

  /// What cancelling a signal led to.
  public struct Cancellation: Hashable, Sendable {
    /// Devices that did not acknowledge the signal before.
    public let cancelled: Int
    /// Devices that did.
    public let tooLate: Int
  }

  /// Cancels a signal: no device receives it from then on, and polls list it until it expires. Repeated, it changes nothing
  /// and returns the same. The client is charged for the deliveries that are counted. Throws `signalNotFound`,
  /// `notSignalOwner`.
  public func cancelSignal(
    _ id: SignalID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Cancellation {
    guard let (signal, devices, before) = try await store.signal(id) else { throw .signalNotFound }
    guard signal.clientID == owner else { throw .notSignalOwner }
    limits.charge(owner, cost: RequestCost.signal(deliveries: devices))
    let cancelledAt = before == nil ? try await cancel(signal, change: change) : before
    var (all, acked, last): (Int, Int, DeviceID?) = (0, 0, nil)
    // The number of the signal's devices bounds the number of steps.
    while true {
      let step = try await store.countDeliveries(
        of: id, ackedUpTo: cancelledAt ?? change.time, after: last, limit: Self.deliveriesPerStep)
      (all, acked) = (all + step.all, acked + step.acked)
      if step.all < Self.deliveriesPerStep { break }
      last = step.last
    }
    return Cancellation(cancelled: cancelledAt == nil ? 0 : all - acked, tooLate: acked)
  }

  /// When the signal was cancelled, now or by another request; nil if it has expired.
  private func cancel(_ signal: Signal, change: Change) async throws(RegistryError) -> Timestamp? {
    // Also after an error: the database may have committed the change. It notifies the parked polls of the signal's devices.
    defer { live.cache.signalsArrived(forDevicesOf: signal.clientID) }
    if try await store.cancelSignal(signal.id, of: signal.clientID, change: change) {
      observer.changed(RegistryEvent(.signalCancelled, by: change, of: signal.clientID, signal: signal.id))
      return change.time
    }
    return try await store.signal(signal.id)?.cancelledAt
  }

  // MARK: Devices

  /// The response to a poll.
  public struct Polled: Sendable {
    public let signals: [Signal]
    /// Signals that the device must not follow any more, until they would have expired.
    public let cancelled: [SignalID]
    public let tradingMode: TradingMode
    /// When to poll again, if the poll could not wait as requested.
    public let retryAfterSeconds: Int?
  }

  /// Unacknowledged and unexpired signals of the device, oldest first. If there are none, waits for one.
  ///
  /// The wait ends early when the trading mode changes, a signal of the device is cancelled, a newer poll of the device
  /// replaces this one, the service stops, or too many polls of the client wait. Throws `signatureInvalid` or `tokenInvalid`
  /// if the device's session is no longer valid, `refused` if the device that signed may no longer be used, `deviceInUse` if
  /// another instance polls, and `accountNotBound`.
  ///
  /// - Parameters:
  ///   - instance: the instance that polls; nil if it takes no lease on the device.
  ///   - takesOver: whether to take the lease from another instance.
  ///   - modeVersion: the version of the trading mode that the device obeys; nil if it does not say. It is stored once, if
  ///     it is the current one.
  public func poll(
    _ session: DeviceSession, as instance: InstanceID? = nil, takesOver: Bool = false, waitSeconds: Int,
    limit: Int, modeVersion: Int64? = nil
  ) async throws(RegistryError) -> Polled {
    if !session.state.terminal.admits(instance) {
      try await terminals.enter(session, as: instance, takesOver: takesOver)
    }
    let now = clock.now()
    live.presence.note(.polled(instance), by: session.deviceID, of: session.clientID, at: now)
    if let modeVersion { await confirm(modeVersion, by: session, at: now) }
    // The poll takes its seat before it queries, so a signal that arrives after the query wakes it.
    let parked = live.parked
    guard waitSeconds > 0,
      let seat = parked.takeSeat(for: session.deviceID, of: session.clientID, as: instance)
    else {
      if waitSeconds == 0 { parked.end(session.deviceID, of: instance) }
      let (signals, device) = try await signals(of: session, as: instance, limit: limit)
      let mayRetry = waitSeconds > 0 && signals.pending.isEmpty
      return answer(
        to: session, signals, device?.tradingMode ?? session.state.tradingMode, device,
        retryAfterSeconds: mayRetry ? 1 : nil)
    }
    defer { parked.leave(seat) }
    return try await wait(session, limit: limit, waitSeconds: waitSeconds, modeVersion: modeVersion, on: seat)
  }

  /// Stores the confirmation if it is new. An error is not the poll's: the device repeats it.
  private func confirm(_ version: Int64, by session: DeviceSession, at now: Timestamp) async {
    let mode = session.state.tradingMode
    guard version == mode.version, !mode.isConfirmed,
      live.cache.pollingDevice(session.deviceID)?.told.confirmedVersion != version
    else { return }
    let confirmation = ModeConfirmation(
      deviceID: session.deviceID, clientID: session.clientID, version: version, change: session.change(at: now))
    guard let isNew = await live.confirmations.confirm(confirmation, in: store) else { return }
    live.cache.note(session.deviceID) { $0.confirmedVersion = version }
    guard isNew else { return }
    observer.changed(
      RegistryEvent(
        .modeConfirmed, by: confirmation.change, of: session.clientID, device: session.deviceID))
  }

  /// Notes what the answer tells, and that it hands out signals.
  private func answer(
    to session: DeviceSession, _ signals: DeviceSignals, _ mode: TradingMode,
    _ device: VerifierCache.PollingDevice?, retryAfterSeconds: Int? = nil
  ) -> Polled {
    let cancelled = signals.cancelled.map(\.id)
    let told = device?.told ?? VerifierCache.Told()
    // A new device knows its mode.
    if told.cancelled != cancelled || mode.version > 1 && told.modeVersion != mode.version {
      live.cache.note(session.deviceID) { told in
        (told.modeVersion, told.cancelled) = (mode.version, cancelled)
      }
    }
    if !signals.notHandedOut.isEmpty {
      live.handOuts.note(signals.notHandedOut, to: session.deviceID, of: session.clientID, at: clock.now())
    }
    return Polled(
      signals: signals.pending, cancelled: cancelled, tradingMode: mode, retryAfterSeconds: retryAfterSeconds)
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
    live.presence.note(.acknowledged, by: session.deviceID, of: session.clientID, at: now)
    var seen: Set<SignalID> = []
    let first = acknowledgements.filter { seen.insert($0.signalID).inserted }
    guard !first.isEmpty else { return Acknowledged(acked: [], unknown: []) }
    let change = session.change(at: now)
    let known = try await store.acknowledge(
      first, by: session.deviceID, owner: session.clientID, change: change)
    live.cache.signalsAcknowledged(by: session.deviceID)
    var (acked, unknown): ([SignalID], [SignalID]) = ([], [])
    for acknowledgement in first {
      let id = acknowledgement.signalID
      if let isFirst = known[id] {
        acked.append(id)
        guard isFirst else { continue }
        live.presence.count(session.deviceID, of: session.clientID, at: now) {
          $0.count(acknowledgement.status, milliseconds: now - id.time)
        }
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

  private func wait(
    _ session: DeviceSession, limit: Int, waitSeconds: Int, modeVersion: Int64?, on seat: ParkedPolls.Seat
  ) async throws(RegistryError) -> Polled {
    let start = live.monotonicMilliseconds()
    var deadline = start + Int64(waitSeconds) * 1000
    var state = session.state
    // What was cancelled when the poll began, which the device may know.
    var known: Set<SignalID>?
    while true {
      let (signals, device) = try await signals(of: session, as: seat.instance, limit: limit)
      // The mode may have changed before the poll took its seat.
      if device == nil { state = try await testAgain(session, as: seat.instance) }
      let mode = device?.tradingMode ?? state.tradingMode
      let isCancelled = isNews(signals.cancelled, known, device)
      known = known ?? Set(signals.cancelled.map(\.id))
      if !signals.pending.isEmpty || isCancelled || isNews(mode, to: session, modeVersion, device) {
        return answer(to: session, signals, mode, device)
      }
      if let modeVersion, modeVersion != mode.version {
        deadline = min(deadline, start + Self.unconfirmedWaitMilliseconds)
      }
      let (until, isSessionsEnd) = end(at: state.endsAt, orAt: deadline)
      switch await seat.wait(untilMilliseconds: until) {
      case .ended: return answer(to: session, signals, mode, device)
      case .displaced: return answer(to: session, signals, mode, device, retryAfterSeconds: 1)
      case .timedOut where !isSessionsEnd: return answer(to: session, signals, mode, device)
      // The session may have ended, or a rotation may have begun, or the mode changed, or a signal may have arrived.
      case .timedOut, .changed: state = try await testAgain(session, as: seat.instance)
      }
    }
  }

  /// Whether the device must learn at once what was cancelled: during the poll, or before and it was not told by this
  /// process. A device that is not cached may have been told.
  private func isNews(
    _ cancelled: [CancelledSignal], _ known: Set<SignalID>?, _ device: VerifierCache.PollingDevice?
  ) -> Bool {
    guard !cancelled.isEmpty else { return false }
    if let known { return !cancelled.allSatisfy { known.contains($0.id) } }
    guard let told = device?.told.cancelled else { return false }
    return !cancelled.allSatisfy { told.contains($0.id) }
  }

  /// Whether the device must learn the mode at once: it changed during the poll, or the device does not know it and was not
  /// told by this process. A device that is not cached may have been told.
  private func isNews(
    _ mode: TradingMode, to session: DeviceSession, _ known: Int64?, _ device: VerifierCache.PollingDevice?
  ) -> Bool {
    if mode.version != session.state.tradingMode.version { return true }
    guard let device, device.told.modeVersion != mode.version else { return false }
    return known.map { $0 != mode.version } ?? (mode.version > 1)
  }

  /// The earlier of the deadline and the end of the secret, the token or the device.
  private func end(at endsAt: Timestamp?, orAt deadline: Int64) -> (Int64, isSessionsEnd: Bool) {
    guard let endsAt else { return (deadline, false) }
    let end = live.monotonicMilliseconds() + max(0, endsAt - clock.now())
    return end < deadline ? (end, true) : (deadline, false)
  }

  /// The device's signals, and what is cached of it. Validates the session again: the device may have been revoked or
  /// suspended while its signals were fetched.
  private func signals(
    of session: DeviceSession, as instance: InstanceID?, limit: Int
  ) async throws(RegistryError) -> (DeviceSignals, VerifierCache.PollingDevice?) {
    let device = live.cache.pollingDevice(session.deviceID)
    let now = clock.now()
    if let device, device.idleness.isIdle {
      return (DeviceSignals(cancelled: device.idleness.cancelled.filter { now < $0.expiresAt }), device)
    }
    let signals = try await store.signals(for: session.deviceID, of: session.clientID, at: now, limit: limit)
    if !signals.pending.isEmpty {
      _ = try await testAgain(session, as: instance)
    } else if let device {
      live.cache.rememberIdle(
        session.deviceID, stamp: device.idleness.stamp, cancelled: signals.cancelled)
    }
    return (signals, device)
  }

  private func testAgain(
    _ session: DeviceSession, as instance: InstanceID?
  ) async throws(RegistryError) -> DeviceSession.State {
    let state = try await authentication.testAgain(session)
    try terminals.test(state, of: instance)
    return state
  }
}
