internal import EventLoop
internal import HTTP
internal import Observability
internal import PostgresStore
internal import RedisReplayStore
internal import Registry

/// Metrics of the service's parts while they run. All of it is read where others left it for any thread,
/// and nothing waits for a loop.
struct PartMetrics {
  let metrics: Metrics

  /// Bounds of a loop's lag, in seconds: libuv's timers are whole milliseconds.
  static let lagBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

  func describe(_ servers: HTTPServers) {
    metrics.gauge("http_connections_open", "Connections of clients.") {
      Double(servers.connectionCount)
    }
    metrics.gauge(
      "http_connections_limit", "Maximum connections of clients; a further one replaces an idle one, or waits."
    ) { Double(servers.connectionLimit) }
    metrics.counters(
      "http_connections_closed_total", "Connections of clients that were closed because of a bound, by bound."
    ) {
      ConnectionLedger.Bound.allCases.map {
        (BoundLabel(bound: $0.rawValue), Double(servers.ledger.closedConnections(for: $0)))
      }
    }
    metrics.gauge("http_unread_answer_bytes", "Bytes of answers that clients have not read yet.") {
      Double(servers.ledger.unreadBytes)
    }
    metrics.gauge(
      "tls_certificate_expiry_timestamp_seconds", "When the current certificate expires, since 1970 in UTC."
    ) { servers.certificateExpirySeconds.map(Double.init) }
  }

  /// Returns the pulses that measure the lag of the loops. The caller starts each on its loop.
  func describe(_ loops: [EventLoop]) -> [LoopPulse] {
    let lag = metrics.histograms(
      "event_loop_lag_seconds", "Delay of the timers of an event loop.", bounds: Self.lagBounds,
      by: LoopLabel.self)
    let pulses = loops.enumerated().map { index, loop in
      let lag = lag[LoopLabel(loop: index)]
      return LoopPulse(of: loop) { lag.observe(nanoseconds: $0) }
    }
    metrics.gauges(
      "event_loop_silence_seconds",
      "Time since the last pulse of an event loop: up to 0.1 s, more if the loop is blocked."
    ) {
      pulses.enumerated().map { (LoopLabel(loop: $0), Double($1.nanosecondsSinceBeat) / 1e9) }
    }
    return pulses
  }

  func describe(_ database: Database, _ stores: [any RegistryStore]) {
    metrics.gauge("sqlite_writer_queue_length", "Writes that wait for SQLite's one writer.") {
      database.waitingWrites.map(Double.init)
    }
    let stores = stores.compactMap { $0 as? PostgresStore }
    /// The sums over all loops, by kind; empty without PostgreSQL.
    func sums(
      _ kinds: KeyValuePairs<String, @Sendable (PostgresPool) -> Int>
    ) -> @Sendable () -> [(KindLabel, Double)] {
      {
        guard !stores.isEmpty else { return [] }
        let states = stores.map(\.pool)
        return kinds.map { kind, value in (KindLabel(kind: kind), Double(states.reduce(0) { $0 + value($1) })) }
      }
    }
    func sums(
      _ value: @escaping @Sendable (PostgresLaneState) -> Int
    ) -> @Sendable () -> [(KindLabel, Double)] {
      sums([
        "read": { value($0.reads) }, "write": { value($0.writes) },
        "transaction": { value($0.transactions) },
      ])
    }
    metrics.gauges(
      "postgres_connections_ready", "Connections to PostgreSQL that can be used.", read: sums(\.ready))
    metrics.gauges(
      "postgres_connections_connecting", "Connections to PostgreSQL that are being made.",
      read: sums(\.connecting))
    metrics.gauges(
      "postgres_connections_down", "Connections to PostgreSQL that are lost and wait to reconnect.",
      read: sums(\.down))
    metrics.gauges(
      "postgres_pending_statements", "Statements that PostgreSQL has not answered yet.",
      read: sums(\.pendingStatements))
    metrics.gauges(
      "postgres_waiting_requests", "Requests that wait for a connection to PostgreSQL.",
      read: sums(\.waitingRequests))
    metrics.gauges(
      "postgres_waiting_changes", "Renames and revocations that wait for the statement before theirs.",
      read: sums(["rename": { $0.waitingRenames }, "revoke": { $0.waitingRevocations }]))
  }

  func describe(_ logger: Logger, _ requestLog: RequestLog) {
    metrics.gauge("log_queue_bytes", "Bytes of log lines that wait to be written.") {
      Double(logger.queuedBytes)
    }
    metrics.counters(
      "log_lines_dropped_total",
      "Log lines dropped: the queue was full, or the rate too high."
    ) {
      [
        (DropLabel(reason: "queue"), Double(logger.droppedLines)),
        (DropLabel(reason: "rate"), Double(requestLog.omittedLines)),
      ]
    }
  }

  func describe(_ hasher: Argon2idHasher) {
    metrics.gauge("argon2id_queue_length", "Secrets that wait for a thread to be hashed.") {
      Double(hasher.queueLength)
    }
  }

  func describe(_ limits: RateLimits) {
    metrics.gauges("rate_limit_entries", "Clients, devices and addresses that a limit remembers.") {
      RateLimit.Subject.allCases.map { (LimitLabel(subject: $0), Double(limits.entries(of: $0))) }
    }
    metrics.counters("rate_limit_evictions_total", "Entries that a full limit evicted early.") {
      RateLimit.Subject.allCases.map { (LimitLabel(subject: $0), Double(limits.evictions(of: $0))) }
    }
  }

  func describe(_ live: LiveDevices, _ replay: ReplayProtection) {
    metrics.gauge("parked_polls", "Polls that wait for a signal.") { Double(live.parked.count) }
    metrics.gauge("parked_polls_limit", "Maximum polls that wait: a further one ends the oldest of a client.") {
      Double(live.parked.maximumParked)
    }
    metrics.gauge("parked_readers", "Requests that wait for events.") { Double(live.readers.count) }
    metrics.gauge(
      "event_feed_lag_seconds",
      "Age of the oldest event that readers do not see yet, because an older transaction still runs."
    ) {
      Double(live.feedLagMilliseconds) / 1000
    }
    metrics.gauge("verifier_cache_entries", "Devices whose credentials are cached.") {
      Double(live.rememberedDevices)
    }
    metrics.gauge("verifier_cache_trusted", "1 while the process receives the database's changes, else 0.") {
      live.isTrusted ? 1 : 0
    }
    metrics.counters(
      "verifier_cache_lookups_total",
      "Look-ups of a device's credentials: from the cache (hit), or the database (miss)."
    ) {
      let lookups = live.cacheLookups
      return [
        (LookupLabel(result: "hit"), Double(lookups.hits)),
        (LookupLabel(result: "miss"), Double(lookups.misses)),
      ]
    }
    metrics.gauge("presence_pending", "Devices whose presence is not written yet.") {
      Double(live.pendingPresence)
    }
    metrics.gauge("presence_lag_seconds", "Age of the oldest presence that is not written yet.") {
      Double(live.presenceLagMilliseconds) / 1000
    }
    metrics.gauge("replay_nonces", "Nonces that this process remembers.") {
      Double(replay.memory?.count ?? 0)
    }
    metrics.gauge(
      "replay_nonces_limit", "Maximum nonces of this process; beyond it, signed requests are refused."
    ) {
      Double(replay.memory?.maximumNonces ?? 0)
    }
    metrics.gauge("redis_connections_ready", "Connections to Redis that can be used, one for each event loop.")
    {
      replay.redis.map { redis in Double(redis.count(where: \.state.isReady)) }
    }
    metrics.gauge("redis_connections_down", "Connections to Redis that are lost or connecting.") {
      replay.redis.map { redis in Double(redis.count { !$0.state.isReady }) }
    }
    metrics.gauge("redis_pending_requests", "Nonces that Redis has not answered yet.") {
      replay.redis.map { redis in Double(redis.reduce(0) { $0 + $1.state.pendingRequests }) }
    }
    metrics.gauge("redis_waiting_requests", "Nonces that wait for a connection to Redis.") {
      replay.redis.map { redis in Double(redis.reduce(0) { $0 + $1.state.waitingRequests }) }
    }
  }
}

private struct LoopLabel: MetricLabels {
  static let names: [StaticString] = ["loop"]
  let loop: Int
  var values: [String] { [String(loop)] }
}

private struct BoundLabel: MetricLabels {
  static let names: [StaticString] = ["bound"]
  let bound: String
  var values: [String] { [bound] }
}

private struct KindLabel: MetricLabels {
  static let names: [StaticString] = ["kind"]
  let kind: String
  var values: [String] { [kind] }
}

private struct LookupLabel: MetricLabels {
  static let names: [StaticString] = ["result"]
  let result: String
  var values: [String] { [result] }
}

private struct DropLabel: MetricLabels {
  static let names: [StaticString] = ["reason"]
  let reason: String
  var values: [String] { [reason] }
}
