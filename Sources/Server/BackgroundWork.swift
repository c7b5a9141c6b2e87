internal import EventLoop
internal import Registry

/// Work outside requests, on one of the loops: answers parked polls in time, writes presence and statistics, records what
/// ends by time, deletes expired rows.
struct BackgroundWork: Service {
  let loop: EventLoop
  /// The store of `loop`.
  let store: any RegistryStore
  let live: LiveDevices
  let observer: any RegistryObserver
  let clock: any Clock
  let interruptions: Interruptions
  /// How long a signal is kept after it expires, so that its owner can read its deliveries.
  let signalRetentionDays: Int
  let eventRetentionDays: Int
  let statisticsRetentionDays: Int
  let offline: OfflineWatch

  /// A parked poll is answered at most this much too late.
  static let tickMilliseconds = 50
  static let presenceIntervalMilliseconds = 1000
  static let sweepIntervalMilliseconds = 10_000
  static let feedIntervalMilliseconds = 5000
  /// How late the end of a suspension or a device's expiry may be recorded.
  static let endIntervalMilliseconds = 1000
  /// Rows per statement, and statements per sweep. Small batches let other statements run in between.
  static let sweepBatch = 1000
  static let maximumSweepsInARow = 200
  /// How long after its creation a signal is removed that is not wholly stored: its sender failed.
  static let abandonedSignalMilliseconds: Int64 = 60_000
  /// How long a token is kept after it expires, because the limit on token requests counts it.
  static let expiredTokenMilliseconds: Int64 = 120_000

  /// Cancelled when no request is in progress; then writes the remaining presence.
  func run() async {
    await withTaskGroup { group in
      group.addTask { await every(milliseconds: Self.tickMilliseconds) { live.tick() } }
      group.addTask { await every(milliseconds: Self.presenceIntervalMilliseconds) { await flushPresence() } }
      group.addTask { await every(milliseconds: Self.sweepIntervalMilliseconds) { await sweep() } }
      group.addTask { await every(milliseconds: Self.feedIntervalMilliseconds) { await measureFeed() } }
      group.addTask { await every(milliseconds: Self.endIntervalMilliseconds) { await recordEnds() } }
      group.addTask { await every(milliseconds: Self.endIntervalMilliseconds) { await settleSignals() } }
    }
    // `loop.run` starts a task that is not cancelled.
    await loop.run { await flushPresence() }
  }

  private func every(milliseconds: Int, _ body: () async -> Void) async {
    while true {
      await loop.sleep(milliseconds: milliseconds)
      // Cancellation ends the sleep early. A service that stops must not begin to delete rows.
      guard !Task.isCancelled else { return }
      await body()
    }
  }

  private func flushPresence() async {
    do throws(RegistryError) {
      try await live.flushHandOuts(to: store)
      try await live.flushPresence(to: store, observer: observer, at: clock.now())
    } catch {
      interruptions.warn("presence not written", ["cause": "\(error)"])
    }
  }

  /// An error leaves the last value: other metrics report a database that does not answer.
  private func measureFeed() async { try? await live.measureFeed(of: store, at: clock.now()) }

  private func recordEnds() async {
    do throws(RegistryError) {
      try await TimedEnds(store: store, live: live, observer: observer).record(at: clock.now())
      try await offline.record(at: clock.now())
    } catch {
      interruptions.warn("what ended by time not recorded", ["cause": "\(error)"])
    }
  }

  private func settleSignals() async {
    await sweep("deliveries that ended, to count them") { () async throws(RegistryError) -> Int in
      try await store.settleSignals(until: clock.now(), maximumRows: Self.sweepBatch)
    }
  }

  private func sweep() async {
    let now = clock.now()
    await sweep("rows of deleted clients") { () async throws(RegistryError) -> Int in
      try await store.clearDeletedClients(
        nil, maximumRows: Self.sweepBatch, change: Change(by: .system, at: now))
    }
    await sweep("deleted groups") { () async throws(RegistryError) -> Int in
      let step = try await store.clearDeletedGroups(of: nil, maximumRows: Self.sweepBatch)
      // The step that finds no device left removes the group.
      return step.isFound ? Self.sweepBatch : 0
    }
    // Before the signals are deleted.
    await settleSignals()
    await sweep("signals") { () async throws(RegistryError) -> Int in
      try await store.removeSignals(
        expiredBefore: now + -Int64(signalRetentionDays) * 24 * 3600 * 1000,
        abandonedBefore: now + -Self.abandonedSignalMilliseconds, maximumRows: Self.sweepBatch)
    }
    await sweep("events") { () async throws(RegistryError) -> Int in
      try await store.removeEvents(
        before: now + -Int64(eventRetentionDays) * 24 * 3600 * 1000, maximumRows: Self.sweepBatch)
    }
    await sweep("statistics") { () async throws(RegistryError) -> Int in
      try await store.removeStatistics(
        before: now + -Int64(statisticsRetentionDays) * 24 * 3600 * 1000, maximumRows: Self.sweepBatch)
    }
    await sweep("webhook deliveries") { () async throws(RegistryError) -> Int in
      try await store.removeWebhookDeliveries(
        before: now + -Int64(WebhookDelivery.retentionDays) * 24 * 3600 * 1000, maximumRows: Self.sweepBatch)
    }
    await sweep("enrolments") { () async throws(RegistryError) -> Int in
      try await store.removeEnrolments(
        endedBefore: now + -Int64(Enrolment.keptDays) * 24 * 3600 * 1000, maximumRows: Self.sweepBatch)
    }
    await sweep("Telegram codes") { () async throws(RegistryError) -> Int in
      try await store.removeTelegramCodes(expiredBefore: now, maximumRows: Self.sweepBatch)
    }
    await sweep("idempotency keys") { () async throws(RegistryError) -> Int in
      try await store.removeIdempotencyKeys(
        usedBefore: now + -Int64(IdempotencyKey.keptHours) * 3600 * 1000, maximumRows: Self.sweepBatch)
    }
    await sweep("tokens") { () async throws(RegistryError) -> Int in
      try await store.removeTokens(expiredBefore: now + -Self.expiredTokenMilliseconds, limit: Self.sweepBatch)
    }
  }

  private func sweep(_ what: String, _ removeBatch: () async throws(RegistryError) -> Int) async {
    do throws(RegistryError) {
      for _ in 0..<Self.maximumSweepsInARow where try await removeBatch() < Self.sweepBatch { return }
    } catch {
      interruptions.warn("expired rows not cleared away", ["rows": what, "cause": "\(error)"])
    }
  }
}
