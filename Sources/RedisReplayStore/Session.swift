internal import EventLoop
internal import Registry

/// One nonce to store. It is completed exactly once.
struct RedisRequest {
  let nonce: SignedNonce
  /// Called on the loop.
  let complete: (Result<Bool, RegistryError>) -> Void
}

/// The protocol of the store on a connection: set-up, epoch and nonces. Used on one loop.
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
  /// Called once, for the first epoch that this store writes.
  private var isFirstStart: (@Sendable () -> Bool)?

  private var epochKey = RedisSession.epochKeyPrefix
  private var epoch: RedisEpoch?
  private var isEpochBeingWritten = false
  /// Why the last connection attempt failed; nil if none has failed since the last connection.
  private var lastFailure: RedisFailure?
  private var nextInspectionMilliseconds: Int64 = 0
  private var waiting: [Waiting] = []
  private var isClosed = false

  static let nonceKeyPrefix = "device-registry:nonce:"
  /// A prefix of the server's run ID, if it is known. After a restart a server may have lost its newest nonces
  /// but still hold the old epoch; so may a promoted replica.
  static let epochKeyPrefix = "device-registry:epoch:"
  /// How long nonces are kept after their expiry, since the clocks of processes differ.
  static let expiryMarginMilliseconds: Int64 = 10_000
  /// The `Retry-After` if no better value is known.
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

  var state: RedisState {
    RedisState(
      isReady: connection.isReady, pendingRequests: connection.pendingCount, waitingRequests: waiting.count)
  }

  /// Sends the request, or queues it for a connection unless the last attempt to connect failed.
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

  /// Advances the connection, fails requests that waited too long, and inspects Redis when that is due.
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
    connection.send(Self.setUpCommands(url)) { [self] result in
      guard let answers = try? result.get() else { return }
      if let failure = Self.refusal(in: answers) { return connection.giveUp(failure) }
      if inspect(answers[answers.count - 1]) { readEpoch() }
    }
  }

  /// The commands with which a connection begins. The last one is INFO.
  static func setUpCommands(_ url: RedisURL) -> [RedisCommand] {
    var commands: [RedisCommand] = []
    if !url.password.isEmpty {
      commands.append(
        url.user.isEmpty ? RedisCommand("AUTH", url.password) : RedisCommand("AUTH", url.user, url.password))
    }
    return commands + [RedisCommand("SELECT", "\(url.database)"), RedisCommand("INFO")]
  }

  /// Why Redis refuses the connection, from the answers to these commands; nil if it does not.
  static func refusal(in answers: [RedisAnswer]) -> RedisFailure? {
    if answers.count == 3, case .refused(let code, _) = answers[0] {
      // Redis repeats the arguments of an unknown command, so only the error's first word is reported.
      return RedisFailure("Redis refused user or password: \(code)")
    }
    let select = answers[answers.count - 2]
    return select == .ok ? nil : select.failure
  }

  /// Whether this Redis can be used. Also stores the run ID of the server.
  private func inspect(_ answer: RedisAnswer) -> Bool {
    switch answer {
    case .text(let text):
      guard let info = RedisServerInfo(text) else {
        continueUninspected("INFO lacks run_id, role, maxmemory or maxmemory_policy")
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
      continueUninspected(message)
      return true
    case .refused, .none, .other:
      connection.giveUp(answer.failure)
      return false
    }
  }

  private func continueUninspected(_ cause: String) {
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

  /// Redis has no epoch: it starts now, unless another process writes one first.
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

  /// Uses the epoch that Redis holds; a new connection is then ready.
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

  /// Stores the nonce, and then reads the epoch, which shows whether Redis was emptied before.
  private func send(_ request: RedisRequest) {
    guard !connection.isFull else {
      return request.complete(.failure(.overloaded(queue: "redis commands")))
    }
    let nonce = request.nonce
    let key = "\(Self.nonceKeyPrefix)\(nonce.deviceID):\(nonce.text)"
    let life = nonce.expiry - clock.now()
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
      // No longer the master, starting up, or no longer authenticated: another connection may work.
      if ["READONLY", "LOADING", "NOAUTH"].contains(code) { connection.giveUp(stored.failure) }
      return
    }
    switch answer {
    case .none:
      // The nonce may have been lost with the epoch, so it counts as lost.
      request.complete(.failure(forgotten(request.nonce, since: clock.now())))
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
    guard request.nonce.isRemembered(since: epoch.start) else {
      return .failure(forgotten(request.nonce, since: epoch.start))
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
    // After a loss requests wait for the new connection, unless Redis itself cannot be used.
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

  private func forgotten(_ nonce: SignedNonce, since start: Timestamp) -> RegistryError {
    nonce.refusal(
      since: start, at: clock.now(), cause: "Redis was emptied or restarted, and may have lost this nonce")
  }
}
