internal import EventLoop
internal import Registry
internal import Synchronization

/// Sends messages: at a bounded rate, again after a failure, and not before Telegram wants more.
///
/// `@unchecked Sendable`: its state is confined to `loop`.
final class Sender: @unchecked Sendable {
  /// Between two messages: Telegram takes 30 a second.
  static let paceMilliseconds: Int64 = 40
  static let maximumAttempts = 4
  /// After the first failure; doubled after each further one.
  static let firstPauseMilliseconds: Int64 = 500
  /// How often a pause looks whether the service stops.
  static let sliceMilliseconds: Int64 = 50

  private let loop: EventLoop
  private let api: BotAPI
  private let stopping = Atomic(false)
  private let report: @Sendable (BotReport) -> Void
  private var nextMilliseconds = Int64.min
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

  func send(_ message: BotMessage, to chat: Int64) async -> Outcome {
    await attempt { [api] () async throws(BotFailure) in try await api.send(message, to: chat) }
  }

  func edit(_ id: Int64, in chat: Int64, to message: BotMessage) async -> Outcome {
    await attempt { [api] () async throws(BotFailure) in try await api.edit(id, in: chat, to: message) }
  }

  func answerPress(_ id: String, _ notice: String?) async -> Outcome {
    await attempt { [api] () async throws(BotFailure) in try await api.answerPress(id, notice) }
  }

  private func attempt(_ call: () async throws(BotFailure) -> Void) async -> Outcome {
    var pauseMilliseconds = Self.firstPauseMilliseconds
    for number in 1...Self.maximumAttempts {
      await takeTurn()
      do throws(BotFailure) {
        try await call()
        lastFailure = nil
        report(.messageSent)
        return .sent
      } catch .blocked {
        report(.messageFailed(.blocked, isNew: false))
        return .blocked
      } catch .tooManyRequests(let seconds) {
        // For all messages.
        nextMilliseconds = max(nextMilliseconds, MonotonicClock.milliseconds + Int64(seconds) * 1000)
      } catch .unanswered(let reason) {
        guard number < Self.maximumAttempts, !isStopping else {
          note(.unanswered(reason: reason))
          return .failed
        }
        await pause(milliseconds: pauseMilliseconds)
        pauseMilliseconds *= 2
      } catch {
        note(error)
        // Also an answer that cannot be read: the message may have been sent.
        if case .unreadable = error { return .refused }
        if case .refused = error { return .refused }
        return .failed
      }
      if isStopping { return .failed }
    }
    return .failed
  }

  private func note(_ failure: BotFailure) {
    report(.messageFailed(failure, isNew: failure != lastFailure))
    lastFailure = failure
  }

  /// Waits until a message may be sent.
  private func takeTurn() async {
    while true {
      let now = MonotonicClock.milliseconds
      if now >= nextMilliseconds || isStopping {
        nextMilliseconds = now + Self.paceMilliseconds
        return
      }
      await pause(milliseconds: nextMilliseconds - now)
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
