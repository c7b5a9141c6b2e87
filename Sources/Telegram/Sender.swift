internal import EventLoop
internal import Registry
internal import Synchronization

/// Sends messages: at a bounded rate, and not before Telegram wants more. A reply is sent again after a failure.
///
/// `@unchecked Sendable`: its state is confined to `loop`.
final class Sender: @unchecked Sendable {
  /// Between two messages: Telegram takes 30 a second.
  static let paceMilliseconds: Int64 = 40
  static let maximumAttempts = 4
  /// After the first failure; doubled after each further one.
  static let firstPauseMilliseconds: Int64 = 500
  /// Before a notice is tried again.
  static let longestNoticePauseMilliseconds: Int64 = 10_000
  /// How often a pause looks whether the service stops.
  static let sliceMilliseconds: Int64 = 50

  private let loop: EventLoop
  private let api: BotAPI
  private let stopping = Atomic(false)
  private let report: @Sendable (BotReport) -> Void
  private var nextMilliseconds = Int64.min
  /// When Telegram takes messages again.
  private var openMilliseconds: Int64 = 0
  private var noticePauseMilliseconds = Sender.firstPauseMilliseconds
  /// The same is new again once a message is sent.
  private var lastFailure: BotFailure?

  enum Outcome: Hashable, Sendable {
    case sent
    /// The user wants no messages.
    case blocked
    /// Telegram takes no such message, now or later.
    case refused
    case failed
  }

  init(on loop: EventLoop, api: BotAPI, report: @escaping @Sendable (BotReport) -> Void) {
    self.loop = loop
    self.api = api
    self.report = report
  }

  /// From now on nothing is waited for. From any thread.
  func stop() { stopping.store(true, ordering: .releasing) }

  var isStopping: Bool { stopping.load(ordering: .acquiring) }

  // MARK: Replies

  /// Sends a reply, for which its user waits.
  func send(_ message: BotMessage, to chat: Int64) async -> Outcome {
    await attempt { [api] () async throws(BotFailure) in try await api.send(message, to: chat) }
  }

  func edit(_ id: Int64, in chat: Int64, to message: BotMessage) async -> Outcome {
    await attempt { [api] () async throws(BotFailure) in try await api.edit(id, in: chat, to: message) }
  }

  private func attempt(_ call: () async throws(BotFailure) -> Void) async -> Outcome {
    var pauseMilliseconds = Self.firstPauseMilliseconds
    for number in 1...Self.maximumAttempts {
      guard await takeTurn(waitsForTelegram: true) else { return .failed }
      do throws(BotFailure) {
        try await call()
        return succeed()
      } catch .tooManyRequests(let seconds) {
        close(seconds: seconds)
      } catch {
        guard case .unanswered = error, number < Self.maximumAttempts, !isStopping else {
          return fail(error)
        }
        await pause(milliseconds: pauseMilliseconds)
        pauseMilliseconds *= 2
      }
      if isStopping { return .failed }
    }
    return .failed
  }

  /// Answers a press on a button once: its reply follows in any case.
  func answerPress(_ id: String) async {
    guard !isStopping, await takeTurn(waitsForTelegram: false) else { return }
    do throws(BotFailure) {
      try await api.answerPress(id)
    } catch .tooManyRequests(let seconds) {
      close(seconds: seconds)
    } catch {
      // The reply fails for the same cause, and is reported.
    }
  }

  // MARK: Notices

  /// Sends a notice once. While Telegram wants no messages it fails at once: its chat may be muted or unlinked until a
  /// later attempt, which may be another process's.
  ///
  /// - Parameter mayBegin: called right before it is sent.
  func tell(_ notice: BotMessage, to chat: Int64, if mayBegin: () -> Bool) async -> Outcome {
    guard !isStopping, await takeTurn(waitsForTelegram: false), !isStopping, mayBegin() else { return .failed }
    do throws(BotFailure) {
      try await api.send(notice, to: chat)
      return succeed()
    } catch .tooManyRequests(let seconds) {
      close(seconds: seconds)
      return .failed
    } catch {
      noticePauseMilliseconds = min(noticePauseMilliseconds * 2, Self.longestNoticePauseMilliseconds)
      return fail(error)
    }
  }

  /// How long a notice that failed waits.
  var retryMilliseconds: Int64 {
    max(noticePauseMilliseconds, openMilliseconds - MonotonicClock.milliseconds)
  }

  // MARK: Outcomes

  private func succeed() -> Outcome {
    (lastFailure, noticePauseMilliseconds) = (nil, Self.firstPauseMilliseconds)
    report(.messageSent)
    return .sent
  }

  private func fail(_ failure: BotFailure) -> Outcome {
    switch failure {
    case .ended: return .failed
    case .blocked:
      report(.messageFailed(.blocked, isNew: false))
      return .blocked
    default:
      report(.messageFailed(failure, isNew: failure != lastFailure))
      lastFailure = failure
    }
    switch failure {
    // Also an answer that cannot be read: the message may have been sent.
    case .unreadable, .refused: return .refused
    default: return .failed
    }
  }

  // MARK: Waiting

  /// Telegram wants no message of any chat for a time.
  private func close(seconds: Int) {
    // The clock leaves parts of a millisecond out: one more, so that no message is early.
    let end = MonotonicClock.milliseconds + Int64(seconds) * 1000 + 1
    openMilliseconds = max(openMilliseconds, end)
  }

  /// Waits until a message may be sent. False if Telegram wants none yet, and the caller or the service does not wait.
  private func takeTurn(waitsForTelegram: Bool) async -> Bool {
    while true {
      let now = MonotonicClock.milliseconds
      if now < openMilliseconds, !waitsForTelegram || isStopping { return false }
      let next = max(nextMilliseconds, openMilliseconds)
      if now >= next || isStopping {
        nextMilliseconds = now + Self.paceMilliseconds
        return true
      }
      await pause(milliseconds: next - now)
    }
  }

  /// Ends early when the service stops.
  func pause(milliseconds: Int64) async {
    let end = MonotonicClock.milliseconds + milliseconds
    while !isStopping {
      let left = end - MonotonicClock.milliseconds
      guard left > 0 else { return }
      await loop.sleep(milliseconds: Int(min(left, Self.sliceMilliseconds)))
      // The sleep of a cancelled task ends at once.
      if Task.isCancelled { return }
    }
  }
}
