public import EventLoop

/// What a Redis says of itself to a command that changes nothing in it.
public struct RedisInspection: Hashable, Sendable {
  /// Nil if the user may not run INFO.
  public let version: String?
  /// Why this Redis cannot keep nonces reliably; nil if it can.
  public let objection: String?

  /// How long `read` waits.
  public static let maximumMilliseconds = 3000

  /// Connects once, authenticates and reads. Call it on the loop.
  ///
  /// Throws `RedisUnusable` if Redis is unreachable or refuses.
  public static func read(_ url: RedisURL, on loop: EventLoop) async throws(RedisUnusable) -> RedisInspection {
    loop.assertCurrent()
    let reader = RedisInspector(url, loop: loop)
    let result = await withUnsafeContinuation { continuation in
      reader.start { continuation.resume(returning: $0) }
    }
    do { return try result.get() } catch { throw RedisUnusable(description: error.description) }
  }
}

/// Redis is unreachable or refuses. The description contains no password.
public struct RedisUnusable: Error, Hashable, CustomStringConvertible {
  public let description: String
}

/// One connection that reads `INFO`. Used on one loop.
private final class RedisInspector {
  private typealias Complete = (Result<RedisInspection, RedisFailure>) -> Void

  private let url: RedisURL
  private let connection: RedisConnection
  private let timer: Timer
  private let deadline: Timer
  private var complete: Complete?

  init(_ url: RedisURL, loop: EventLoop) {
    self.url = url
    connection = RedisConnection(url, limits: RedisLimits(), loop: loop)
    timer = Timer(on: loop)
    deadline = Timer(on: loop)
  }

  /// Completes once, on the loop, and stays alive until then.
  func start(_ complete: @escaping (Result<RedisInspection, RedisFailure>) -> Void) {
    self.complete = complete
    connection.whenOpened = { self.ask() }
    connection.whenLost = { failure, _ in self.end(.failure(failure)) }
    deadline.start(afterMilliseconds: RedisInspection.maximumMilliseconds) {
      self.end(.failure(RedisFailure("no answer within \(RedisInspection.maximumMilliseconds) ms")))
    }
    timer.start(afterMilliseconds: 0, repeatMilliseconds: RedisReplayStore.tickMilliseconds) {
      self.connection.advance(to: MonotonicClock.milliseconds)
    }
  }

  private func ask() {
    connection.send(RedisSession.setUpCommands(url)) { result in
      self.end(result.flatMap { RedisInspection.reading($0) })
    }
  }

  private func end(_ result: Result<RedisInspection, RedisFailure>) {
    guard let complete else { return }
    self.complete = nil
    timer.close()
    deadline.close()
    connection.whenOpened = {}
    connection.whenLost = { _, _ in }
    connection.close()
    complete(result)
  }
}

extension RedisInspection {
  /// Reads the answers to the commands that set a connection up.
  fileprivate static func reading(_ answers: [RedisAnswer]) -> Result<RedisInspection, RedisFailure> {
    if let failure = RedisSession.refusal(in: answers) { return .failure(failure) }
    switch answers[answers.count - 1] {
    case .text(let text):
      let info = RedisServerInfo(text)
      return .success(
        RedisInspection(version: RedisServerInfo.version(in: text), objection: info?.objection?.description))
    case .refused("NOPERM", _), .refused("ERR", _):
      return .success(RedisInspection(version: nil, objection: nil))
    case let answer: return .failure(answer.failure)
    }
  }
}
