internal import API
internal import EventLoop
internal import Observability
private import Synchronization

/// Interruptions that pass and were planned: an administrator restarts the database, or this process was started and cannot
/// know which requests were used before. What they cause is one line of level notice with a count, and not an error for each
/// request.
///
/// A database that is away for longer than a restart takes is an error, as it is without an announcement.
final class Interruptions: Service {
  /// How long after its announcement a database may be away.
  static let maximumMilliseconds: Int64 = 60_000
  /// An interruption is over when nothing was refused and no connection lost for this long.
  static let quietMilliseconds: Int64 = 2000
  private static let tickMilliseconds = 250

  private struct Episode {
    let beganMilliseconds: Int64
    var lastMilliseconds: Int64
    let cause: String
    var refused = 0

    init(at now: Int64, cause: String) {
      (beganMilliseconds, lastMilliseconds) = (now, now)
      self.cause = cause
    }

    var seconds: String { String((lastMilliseconds - beganMilliseconds + 999) / 1000) }
    func isQuiet(at now: Int64) -> Bool { now - lastMilliseconds >= Interruptions.quietMilliseconds }
  }

  private struct State {
    /// While the database ends its sessions and until they are back.
    var restart: Episode?
    /// Whether the last connection that was tried is ready.
    var isConnected = false
    /// Requests that may have been used before this process or Redis started.
    var afterStart: Episode?
  }

  private let logger: Logger
  private let monotonicMilliseconds: @Sendable () -> Int64
  private let state = Mutex(State())

  init(
    _ logger: Logger,
    monotonicMilliseconds: @escaping @Sendable () -> Int64 = { MonotonicClock.milliseconds }
  ) {
    (self.logger, self.monotonicMilliseconds) = (logger, monotonicMilliseconds)
  }

  // MARK: What happens

  /// The server announced that it ends a session, because an administrator stops it.
  func databaseEndsSessions(_ cause: String) {
    let isNew = state.withLock { state in
      defer { touch(&state) { _ in } }
      guard state.restart == nil else { return false }
      state.restart = Episode(at: monotonicMilliseconds(), cause: cause)
      state.isConnected = false
      return true
    }
    if isNew { logger.log(.notice, "database ends its sessions", ["cause": cause]) }
  }

  /// A connection to the database is ready.
  func databaseConnected() {
    state.withLock { $0.isConnected = true }
    logger.log(.debug, "database connected")
  }

  /// A connection to the database was lost without an announcement, or could not be made.
  func databaseMissed(_ event: StaticString, cause: String) {
    state.withLock { $0.isConnected = false }
    warn(event, ["cause": cause])
  }

  /// Logs a warning; while the database restarts, which is known, a line for debugging.
  func warn(_ event: StaticString, _ fields: KeyValuePairs<StaticString, String> = [:]) {
    let isKnown = state.withLock { state in touch(&state) { _ in } }
    logger.log(isKnown ? .debug : .warning, event, fields)
  }

  /// Counts the refusal if an interruption explains it; then it gets no line.
  func explains(_ request: AnsweredRequest) -> Bool {
    guard request.status == 503 else { return false }
    return state.withLock { state in
      if touch(&state, { $0.refused += 1 }) { return true }
      guard request.isExpected else { return false }
      let now = monotonicMilliseconds()
      var episode = state.afterStart ?? Episode(at: now, cause: request.cause ?? "")
      (episode.lastMilliseconds, episode.refused) = (now, episode.refused + 1)
      state.afterStart = episode
      return true
    }
  }

  /// Notes that the restart still has effects. False if there is none.
  @discardableResult
  private func touch(_ state: inout State, _ change: (inout Episode) -> Void) -> Bool {
    guard var restart = state.restart else { return false }
    restart.lastMilliseconds = monotonicMilliseconds()
    change(&restart)
    state.restart = restart
    return true
  }

  // MARK: Reporting

  func run() async {
    while !Task.isCancelled {
      report()
      try? await Task.sleep(for: .milliseconds(Self.tickMilliseconds))
    }
    report(isLast: true)
  }

  /// Logs the interruptions that are over.
  func report(isLast: Bool = false) {
    let now = monotonicMilliseconds()
    let (restart, isBack, afterStart) = state.withLock { state in
      var (restart, isBack, afterStart): (Episode?, Bool, Episode?) = (nil, state.isConnected, nil)
      if let episode = state.restart {
        let isOver = state.isConnected && episode.isQuiet(at: now)
        if isOver || isLast || now - episode.beganMilliseconds >= Self.maximumMilliseconds {
          isBack = state.isConnected || isLast
          restart = episode
          state.restart = nil
        }
      }
      if let episode = state.afterStart, isLast || episode.isQuiet(at: now) {
        afterStart = episode
        state.afterStart = nil
      }
      return (restart, isBack, afterStart)
    }
    if let restart {
      logger.log(
        isBack ? .notice : .error, isBack ? "database back" : "database not back",
        ["seconds": restart.seconds, "requests_refused": String(restart.refused)])
    }
    if let afterStart {
      logger.log(
        .notice, "requests refused after a start",
        [
          "count": String(afterStart.refused), "seconds": afterStart.seconds, "cause": afterStart.cause,
        ])
    }
  }
}
