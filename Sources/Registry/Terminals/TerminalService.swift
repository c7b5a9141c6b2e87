/// Which terminal may poll for a device, and on which account. Each event loop has one, with the loop's own store.
public struct TerminalService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let clock: any Clock
  private let observer: any RegistryObserver
  private let leaseMilliseconds: Int64

  /// How long a refused instance makes no further event.
  static let contentionMilliseconds: Int64 = 60_000

  init(
    store: any RegistryStore, live: LiveDevices, clock: any Clock, observer: any RegistryObserver,
    leaseSeconds: Int
  ) {
    self.store = store
    self.live = live
    self.clock = clock
    self.observer = observer
    leaseMilliseconds = Int64(leaseSeconds) * 1000
  }

  // MARK: Polls

  /// Lets in a poll that its device's terminal does not admit: takes the lease if it is free, its holder is silent, or
  /// `takesOver`. Throws `accountNotBound`, `deviceInUse`.
  ///
  /// The holder's polls do not come here: their times are noted with the device's presence.
  func enter(
    _ session: DeviceSession, as instance: InstanceID?, takesOver: Bool
  ) async throws(RegistryError) {
    let now = clock.now()
    var terminal = session.state.terminal
    guard terminal.isOnBoundAccount, let instance else {
      live.presence.note(.called, by: session.deviceID, of: session.clientID, at: now)
      throw .accountNotBound
    }
    let silentSince = now + -leaseMilliseconds
    func isHeld() -> Bool { terminal.lease.map { $0.lastPoll > silentSince } ?? false }
    // Twice, because what is cached may be older than a release.
    for _ in 0..<2 {
      if takesOver || !isHeld(),
        try await take(instance, for: session, takesOver: takesOver, silentSince: silentSince, at: now)
      {
        return
      }
      // The time of the holder's last poll is not cached.
      guard let device = try await store.credentials(of: session.deviceID) else { throw session.ended }
      terminal = device.terminal
      if terminal.lease?.instance == instance { return }
      if isHeld() { break }
    }
    try await noteContention(by: instance, session, terminal, at: now)
    guard let lease = terminal.lease else { throw .unavailable(cause: "a lease is taken and released again") }
    throw .deviceInUse(since: lease.since, lastPoll: lease.lastPoll)
  }

  private func take(
    _ instance: InstanceID, for session: DeviceSession, takesOver: Bool, silentSince: Timestamp,
    at now: Timestamp
  ) async throws(RegistryError) -> Bool {
    // Also after an error: the database may have committed the change. Ends the parked poll of the former holder.
    defer { live.credentialsChanged(of: session.deviceID) }
    return try await store.takeInstance(
      instance, of: session.deviceID, owner: session.clientID, takesOver: takesOver, silentSince: silentSince,
      at: now)
  }

  private func noteContention(
    by instance: InstanceID, _ session: DeviceSession, _ terminal: Terminal, at now: Timestamp
  ) async throws(RegistryError) {
    live.presence.note(.called, by: session.deviceID, of: session.clientID, at: now)
    let recordedBefore = now + -Self.contentionMilliseconds
    guard terminal.contendedAt.map({ $0 <= recordedBefore }) ?? true else { return }
    let change = session.change(at: now)
    let isRecorded = try await store.recordContention(
      of: session.deviceID, owner: session.clientID, by: instance, recordedBefore: recordedBefore,
      change: change)
    guard isRecorded else { return }
    observer.changed(
      RegistryEvent(.deviceContended, by: change, of: session.clientID, device: session.deviceID))
  }

  /// Tests a poll again that was let in: another instance may have taken the lease over, or the owner bound another
  /// account. Throws `accountNotBound`, `deviceInUse`.
  func test(_ state: DeviceSession.State, of instance: InstanceID?) throws(RegistryError) {
    guard state.terminal.isOnBoundAccount else { throw .accountNotBound }
    guard let instance, let lease = state.terminal.lease, lease.instance != instance else { return }
    throw .deviceInUse(since: lease.since, lastPoll: lease.lastPoll)
  }

  // MARK: The device's other calls

  /// Gives the lease up, if the instance holds it.
  public func release(_ instance: InstanceID, _ session: DeviceSession) async throws(RegistryError) {
    live.presence.note(.called, by: session.deviceID, of: session.clientID, at: clock.now())
    defer { live.credentialsChanged(of: session.deviceID) }
    try await store.releaseInstance(instance, of: session.deviceID, owner: session.clientID)
  }

  /// Stores where the device runs. Writes nothing if it says the same as before.
  public func setContext(_ context: DeviceContext, _ session: DeviceSession) async throws(RegistryError) {
    let now = clock.now()
    live.presence.note(.called, by: session.deviceID, of: session.clientID, at: now)
    guard session.state.terminal.context != context else { return }
    let change = session.change(at: now)
    defer { live.credentialsChanged(of: session.deviceID) }
    let isChanged = try await store.setContext(
      context, of: session.deviceID, owner: session.clientID, change: change)
    guard isChanged else { return }
    observer.changed(
      RegistryEvent(.deviceContextChanged, by: change, of: session.clientID, device: session.deviceID))
  }
}
