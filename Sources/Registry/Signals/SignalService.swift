/// The registry's rules on signals: from an owner to its devices, at least once, oldest first, until they are acknowledged
/// or expire. One for each event loop, with that loop's store.
public struct SignalService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let authentication: AuthenticationService
  private let clock: any Clock
  private let random: any RandomSource
  private let observer: any RegistryObserver

  /// Signals of one client that have not expired.
  public static let maximumLive = 10_000
  /// Signals that a list has without a limit.
  public static let defaultPage = 100
  /// Seconds that a poll may wait.
  public static let waitSeconds = 0...30
  /// Signals that one poll may ask for.
  public static let pollSize = 1...100

  init(
    store: any RegistryStore, live: LiveDevices, authentication: AuthenticationService, clock: any Clock,
    random: any RandomSource, observer: any RegistryObserver
  ) {
    self.store = store
    self.live = live
    self.authentication = authentication
    self.clock = clock
    self.random = random
    self.observer = observer
  }

  // MARK: Owners

  /// Sends a signal, and wakes those of its devices that wait.
  /// Throws `clientNotFound`, `deviceNotFound`, `notOwner`, `deviceRevoked`, `tooManySignals`; then nobody gets it.
  public func createSignal(
    clientID: ClientID, payload: [UInt8], to addressees: Addressees, lifetimeSeconds: Int, change: Change
  ) async throws(RegistryError) -> SignalSummary {
    let signal = Signal(
      id: live.signalIDs.next(at: change.time, random: random), clientID: clientID, payload: payload,
      createdAt: change.time, expiresAt: change.time + Int64(lifetimeSeconds) * 1000)
    let devices = try await store.insertSignal(
      signal, to: addressees, maxLive: Self.maximumLive, change: change)
    observer.changed(RegistryEvent(.signalCreated, by: change, of: clientID, signal: signal.id))
    switch addressees {
    case .devices(let ids): live.signalsArrived(for: ids)
    case .all: live.signalsArrived(forDevicesOf: clientID)
    }
    return SignalSummary(
      id: signal.id, createdAt: signal.createdAt, expiresAt: signal.expiresAt, devices: devices)
  }

  /// The client's signals, newest first, `limit` at a time.
  public func listSignals(
    clientID: ClientID, limit: Int = defaultPage, after cursor: SignalCursor? = nil
  ) async throws(RegistryError) -> Page<SignalSummary, SignalCursor> {
    let signals = try await store.signals(of: clientID, after: cursor, limit: limit + 1)
    return Page(signals, limit: limit) { SignalCursor(id: $0.id) }
  }

  /// A signal, how many devices it was sent to, and what became of it at each of those that are still there. Throws
  /// `signalNotFound`, `notSignalOwner`.
  public func getSignal(
    _ id: SignalID, owner: ClientID
  ) async throws(RegistryError) -> (signal: Signal, devices: Int, deliveries: [Delivery]) {
    guard let (signal, devices) = try await store.signal(id) else { throw .signalNotFound }
    guard signal.clientID == owner else { throw .notSignalOwner }
    return (signal, devices, try await store.deliveries(of: id))
  }

  // MARK: Devices

  /// What a poll is answered.
  public struct Polled: Sendable {
    public let signals: [Signal]
    /// Where the poll did not wait although it wished to: when to try again.
    public let retryAfterSeconds: Int?
  }

  /// The device's signals that are neither acknowledged nor expired, oldest first; where there are none, waits for some.
  ///
  /// It waits no longer where a newer poll of the device is there, where the service stops, and where too many polls
  /// wait. Throws `signatureInvalid`, `tokenInvalid` when the device is no longer good.
  public func poll(
    _ session: DeviceSession, waitSeconds: Int, limit: Int
  ) async throws(RegistryError) -> Polled {
    live.presence.note(.polled, by: session.deviceID, at: clock.now())
    // The seat is taken before the look: a signal that comes behind the look finds it.
    guard waitSeconds > 0, let seat = live.parked.takeSeat(for: session.deviceID) else {
      if waitSeconds == 0 { live.parked.end(session.deviceID) }
      let signals = try await pendingSignals(of: session, limit: limit)
      return Polled(signals: signals, retryAfterSeconds: waitSeconds > 0 && signals.isEmpty ? 1 : nil)
    }
    defer { live.parked.leave(seat) }
    return Polled(
      signals: try await signals(of: session, limit: limit, waitSeconds: waitSeconds, on: seat),
      retryAfterSeconds: nil)
  }

  /// What acknowledgements came to: signals, each once, in the order in which they were named.
  public struct Acknowledged: Sendable {
    public let acked: [SignalID]
    /// Those that are no signals to the device.
    public let unknown: [SignalID]
  }

  /// Stores what the device did with signals; the first acknowledgement of each signal counts.
  public func acknowledge(
    _ session: DeviceSession, _ acknowledgements: [Acknowledgement]
  ) async throws(RegistryError) -> Acknowledged {
    let now = clock.now()
    live.presence.note(.acknowledged, by: session.deviceID, at: now)
    var seen: Set<SignalID> = []
    let first = acknowledgements.filter { seen.insert($0.signalID).inserted }
    guard !first.isEmpty else { return Acknowledged(acked: [], unknown: []) }
    let change = session.change(at: now)
    let known = try await store.acknowledge(first, by: session.deviceID, change: change)
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
  ) async throws(RegistryError) -> [Signal] {
    let deadline = live.monotonicMilliseconds() + Int64(waitSeconds) * 1000
    var endsAt = session.endsAt
    while true {
      let signals = try await pendingSignals(of: session, limit: limit)
      guard signals.isEmpty else { return signals }
      let (until, isSessionsEnd) = end(at: endsAt, orAt: deadline)
      switch await seat.wait(untilMilliseconds: until) {
      case .ended: return []
      case .timedOut where !isSessionsEnd: return []
      // The device may have ended, or begun to; or a signal may be there.
      case .timedOut, .changed: endsAt = try await authentication.testAgain(session)
      }
    }
  }

  /// Which comes first: the deadline, or the end of the secret or the token.
  private func end(at endsAt: Timestamp?, orAt deadline: Int64) -> (Int64, isSessionsEnd: Bool) {
    guard let endsAt else { return (deadline, false) }
    let end = live.monotonicMilliseconds() + max(0, endsAt - clock.now())
    return end < deadline ? (end, true) : (deadline, false)
  }

  /// Whoever is handed signals is tested once more: a revocation may have come while they were fetched.
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
