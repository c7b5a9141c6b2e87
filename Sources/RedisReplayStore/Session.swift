internal import EventLoop
internal import Registry

/// One nonce that awaits its answer, which it gets exactly once.
struct RedisRequest {
  let nonce: String
  let deviceID: DeviceID
  let created: Timestamp
  let expiry: Timestamp
  /// Called on the loop.
  let complete: (Result<Bool, RegistryError>) -> Void
}

/// The session of a store with Redis: its set-up, the epoch, and the nonces. Used on one loop.
final class RedisSession {
  private struct Waiting {
    let request: RedisRequest
    let deadlineMilliseconds: Int64
  }

  private let url: RedisURL
  private let connection: RedisConnection
  private let limits: RedisLimits
  private let clock: any Clock
  private let random: any RandomSource
  private let report: @Sendable (RedisEvent) -> Void
  /// Asked once, for the first epoch that this store writes.
  private var isFirstStart: (@Sendable () -> Bool)?

  private var epochKey = RedisSession.epochKeyPrefix
  private var epoch: RedisEpoch?
  private var isEpochBeingWritten = false
  /// Why the last attempt to connect failed; nil while none did since there was a connection.
  private var lastFailure: RedisFailure?
  private var nextInspectionMilliseconds: Int64 = 0
  private var waiting: [Waiting] = []
  private var isClosed = false

  static let nonceKeyPrefix = "device-registry:nonce:"
  /// The server's run ID follows, where it is known. A server that starts again may have lost its newest nonces and yet
  /// hold an old epoch; so may a replica that is promoted.
  static let epochKeyPrefix = "device-registry:epoch:"
  /// How long nonces outlive their expiry, for processes whose clocks differ.
  static let expiryMarginMilliseconds: Int64 = 10_000
  /// When to try again, where Redis gives no other time.
  static let retryAfterSeconds = 2

  init(
    _ url: RedisURL, on connection: RedisConnection, limits: RedisLimits, clock: any Clock,
    random: any RandomSource, isFirstStart: @escaping @Sendable () -> Bool,
    report: @escaping @Sendable (RedisEvent) -> Void
  ) {
    self.url = url
    self.connection = connection
    self.limits = limits
    self.clock = clock
    self.random = random
    self.isFirstStart = isFirstStart
    self.report = report
    connection.whenOpened = { [weak self] in self?.setUp() }
    connection.whenLost = { [weak self] in self?.lost($0, wasReady: $1) }
  }

  /// What was sent and is not yet answered.
  var pendingCount: Int { connection.pendingCount }

  var state: RedisState {
    RedisState(
      isReady: connection.isReady, pendingRequests: connection.pendingCount, waitingRequests: waiting.count)
  }

  /// Sends the request, or lets it wait for a connection unless the last attempt to connect failed.
  func remember(_ request: RedisRequest) {
    if isClosed {
      request.complete(.failure(unavailable("the store was closed")))
    } else if connection.isReady {
      send(request)
    } else if let lastFailure {
      request.complete(.failure(unavailable(lastFailure.description)))
    } else if waiting.count < limits.waiting {
      let deadline = MonotonicClock.milliseconds + limits.waitMilliseconds
      waiting.append(Waiting(request: request, deadlineMilliseconds: deadline))
    } else {
      request.complete(.failure(.overloaded(queue: "redis connection")))
    }
  }

  /// Does what is due by now.
  func advance(to now: Int64) {
    connection.advance(to: now)
    let due = waiting.prefix { $0.deadlineMilliseconds <= now }
    waiting.removeFirst(due.count)
    for waiting in due { waiting.request.complete(.failure(unavailable("no connection to Redis"))) }
    if connection.isReady, nextInspectionMilliseconds <= now { inspectAgain(at: now) }
  }

  func close() {
    isClosed = true
    connection.close()
    failWaiting("the store was closed")
  }

  // MARK: Setting a connection up

  private func setUp() {
    isEpochBeingWritten = false
    var commands: [RedisCommand] = []
    if !url.password.isEmpty {
      commands.append(
        url.user.isEmpty ? RedisCommand("AUTH", url.password) : RedisCommand("AUTH", url.user, url.password))
    }
    commands.append(RedisCommand("SELECT", "\(url.database)"))
    commands.append(RedisCommand("INFO"))
    connection.send(commands) { [self] result in
      guard let answers = try? result.get() else { return }
      if answers.count == 3, case .refused(let code, _) = answers[0] {
        // Redis repeats the arguments of a command that it does not know: no more than the error's first word.
        return connection.giveUp(RedisFailure("Redis refused user or password: \(code)"))
      }
      let select = answers[answers.count - 2]
      guard select == .ok else { return connection.giveUp(select.failure) }
      if inspect(answers[answers.count - 1]) { readEpoch() }
    }
  }

  /// Whether this Redis may go on being used. Learns which run of the server it is.
  private func inspect(_ answer: RedisAnswer) -> Bool {
    switch answer {
    case .text(let text):
      guard let info = RedisServerInfo(text) else {
        goOnUninspected("INFO lacks run_id, role, maxmemory or maxmemory_policy")
        return true
      }
      if let objection = info.objection {
        connection.giveUp(objection)
        return false
      }
      epochKey = Self.epochKeyPrefix + info.runID
      nextInspectionMilliseconds = MonotonicClock.milliseconds + limits.inspectionMilliseconds
      return true
    case .refused("NOPERM", let message), .refused("ERR", let message):
      goOnUninspected(message)
      return true
    case .refused, .none, .other:
      connection.giveUp(answer.failure)
      return false
    }
  }

  private func goOnUninspected(_ cause: String) {
    report(.uninspected(cause: cause))
    epochKey = Self.epochKeyPrefix
    nextInspectionMilliseconds = .max
  }

  private func inspectAgain(at now: Int64) {
    nextInspectionMilliseconds = now + limits.inspectionMilliseconds
    let key = epochKey
    connection.send([RedisCommand("INFO")]) { [self] result in
      guard let answers = try? result.get(), inspect(answers[0]), epochKey != key else { return }
      connection.giveUp(RedisFailure("another Redis answers"))
    }
  }

  // MARK: The epoch

  private func readEpoch() {
    connection.send([RedisCommand("GET", epochKey)]) { [self] result in
      guard let answers = try? result.get() else { return }
      switch answers[0] {
      case .none: writeEpoch()
      case .text, .refused, .other: adoptEpoch(answers[0])
      }
    }
  }

  /// Redis holds no epoch: it remembers from now on, or from when another process wrote one first.
  private func writeEpoch() {
    guard !isEpochBeingWritten else { return }
    isEpochBeingWritten = true
    let hasNoPast = isFirstStart?() ?? false
    isFirstStart = nil
    let start = hasNoPast ? Timestamp(millisecondsSince1970: 0) : clock.now()
    let value = RedisEpoch(start: start, random: random).value
    let commands = [RedisCommand("SET", epochKey, value, "NX"), RedisCommand("GET", epochKey)]
    connection.send(commands) { [self] result in
      isEpochBeingWritten = false
      guard let answers = try? result.get() else { return }
      if case .refused = answers[0] { return connection.giveUp(answers[0].failure) }
      adoptEpoch(answers[1])
    }
  }

  /// Takes the epoch that Redis holds. With it a new connection is ready.
  private func adoptEpoch(_ answer: RedisAnswer) {
    guard case .text(let value) = answer, let found = RedisEpoch(value: value) else {
      return connection.giveUp(answer.failure)
    }
    adopt(found)
    guard !connection.isReady else { return }
    connection.becomeReady()
    lastFailure = nil
    report(.connected)
    let requests = waiting.map(\.request)
    waiting = []
    for request in requests { remember(request) }
  }

  private func adopt(_ found: RedisEpoch) {
    isFirstStart = nil
    guard epoch != found else { return }
    if epoch != nil { report(.emptied) }
    epoch = found
  }

  // MARK: Nonces

  /// Stores the nonce, and then reads the epoch, which shows whether Redis was emptied in between.
  private func send(_ request: RedisRequest) {
    guard !connection.isFull else {
      return request.complete(.failure(.overloaded(queue: "redis commands")))
    }
    let key = "\(Self.nonceKeyPrefix)\(request.deviceID):\(request.nonce)"
    let life = request.expiry.millisecondsSince1970 - clock.now().millisecondsSince1970
    let milliseconds = max(0, life) + Self.expiryMarginMilliseconds
    let commands = [
      RedisCommand("SET", key, "1", "NX", "PX", "\(milliseconds)"), RedisCommand("GET", epochKey),
    ]
    connection.send(commands) { [self] result in
      switch result {
      case .success(let answers): finish(request, stored: answers[0], epoch: answers[1])
      case .failure(let failure): request.complete(.failure(unavailable(failure.description)))
      }
    }
  }

  private func finish(_ request: RedisRequest, stored: RedisAnswer, epoch answer: RedisAnswer) {
    if case .refused(let code, _) = stored {
      request.complete(.failure(unavailable(stored.failure.description)))
      // No longer the master, starting, or no longer sure of us: another connection may do better.
      if ["READONLY", "LOADING", "NOAUTH"].contains(code) { connection.giveUp(stored.failure) }
      return
    }
    switch answer {
    case .none:
      // Whether the nonce went with the rest is not known, so it counts as lost.
      let now = clock.now()
      request.complete(
        .failure(emptied(leftSeconds: RedisEpoch(start: now, random: random).secondsLeft(at: now))))
      writeEpoch()
    case .text, .refused, .other:
      guard case .text(let value) = answer, let found = RedisEpoch(value: value) else {
        return request.complete(.failure(unavailable(answer.failure.description)))
      }
      adopt(found)
      request.complete(outcome(stored, of: request, in: found))
    }
  }

  private func outcome(
    _ stored: RedisAnswer, of request: RedisRequest, in epoch: RedisEpoch
  ) -> Result<Bool, RegistryError> {
    guard epoch.covers(request.created) else {
      return .failure(emptied(leftSeconds: epoch.secondsLeft(at: clock.now())))
    }
    switch stored {
    case .ok: return .success(true)
    case .none: return .success(false)
    case .text, .refused, .other: return .failure(unavailable(stored.failure.description))
    }
  }

  // MARK: Failing

  private func lost(_ failure: RedisFailure, wasReady: Bool) {
    switch (failure.kind, wasReady) {
    case (.evictionPolicy, _): report(.evictionPolicy(cause: failure.description))
    case (.failure, true): report(.lost(cause: failure.description))
    case (.failure, false): report(.connectFailed(cause: failure.description))
    }
    // After a loss a new connection is worth waiting for; not where Redis itself is the trouble.
    guard !wasReady || failure.kind == .evictionPolicy else { return }
    lastFailure = failure
    failWaiting(failure.description)
  }

  private func failWaiting(_ cause: String) {
    let requests = waiting.map(\.request)
    waiting = []
    for request in requests { request.complete(.failure(unavailable(cause))) }
  }

  private func unavailable(_ cause: String) -> RegistryError {
    .replayUnavailable(cause: cause, retryAfterSeconds: Self.retryAfterSeconds)
  }

  private func emptied(leftSeconds: Int) -> RegistryError {
    .replayUnavailable(
      cause: "Redis remembers only since after the signature may have been used", retryAfterSeconds: leftSeconds
    )
  }
}
