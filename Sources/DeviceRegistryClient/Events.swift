internal import Encoding

/// The feed of the owner's events, page after page, without end.
///
/// Store the `next` of a page after you have handled its events, also of a page without events, and begin there after a
/// restart: then no event is missed or repeated.
///
/// Temporary failures are retried without limit, with growing pauses and after `Retry-After`. Permanent failures end the
/// sequence with an error: `cursorExpired`, or a `problem` with 401 or 403. Cancelling the task ends it with `cancelled`.
public struct EventPages: AsyncSequence, Sendable {
  public typealias Element = EventPage
  public typealias Failure = RegistryClientError

  fileprivate let exchange: OwnerExchange
  fileprivate let query: EventQuery
  fileprivate let report: @Sendable (RegistryClientError) -> Void

  public func makeAsyncIterator() -> Iterator { Iterator(pages: self) }

  public struct Iterator: AsyncIteratorProtocol {
    private let exchange: OwnerExchange
    private var query: EventQuery
    private let waitSeconds: Int
    private let report: @Sendable (RegistryClientError) -> Void
    private var pause: Pause?

    fileprivate init(pages: EventPages) {
      exchange = pages.exchange
      query = pages.query
      waitSeconds = pages.query.waitSeconds
      report = pages.report
    }

    /// The pause before the next request.
    private enum Pause {
      case requested(seconds: Int64)
      /// After a page that shows nothing new.
      case sinceRequest(atMilliseconds: Int64)
    }

    /// The shortest time between requests that show nothing new.
    private static let minimumIntervalMilliseconds: Int64 = 1000

    public mutating func next() async throws(RegistryClientError) -> EventPage? {
      try await next(isolation: #isolation)
    }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws(RegistryClientError)
      -> EventPage?
    {
      try await rest()
      // A request that waits from now on and fails would lose what happened meanwhile: take the position first.
      query.waitSeconds = query.cursor == OwnerClient.now ? 0 : waitSeconds
      let start = exchange.system.uptime()
      let page = try await untilAnswered(try query.call())
      if let seconds = page.retryAfterSeconds {
        pause = .requested(seconds: seconds)
      } else if page.events.isEmpty, page.next == query.cursor {
        pause = .sinceRequest(atMilliseconds: start)
      }
      query.cursor = page.next
      return page
    }

    private mutating func rest() async throws(RegistryClientError) {
      defer { pause = nil }
      switch pause {
      case nil: break
      case .requested(let seconds): try await exchange.pause(afterFailures: 1, retryAfterSeconds: seconds)
      case .sinceRequest(let milliseconds):
        let rest = Self.minimumIntervalMilliseconds - (exchange.system.uptime() - milliseconds)
        if rest > 0 { try await exchange.system.pause(for: .milliseconds(rest)) }
      }
    }

    private func untilAnswered(_ call: Call) async throws(RegistryClientError) -> EventPage {
      var failures = 0
      while true {
        do {
          return try await exchange.performOnce(call).eventPage()
        } catch {
          guard error.isTransient else { throw error }
          report(error)
          failures += 1
          try await exchange.pause(afterFailures: failures, retryAfterSeconds: error.retryAfterSeconds)
        }
      }
    }
  }
}

extension OwnerClient {
  /// The bounds of `waitSeconds`.
  public static let eventWaits = 0...30
  /// The bounds of `limit`.
  public static let eventCounts = 1...1000
  /// As `after`: what happens from now on.
  public static let now = "now"

  /// Events in the order of commit, oldest first. If there are none, waits up to `waitSeconds` (0 to 30) for one. Throws
  /// `cursorExpired`.
  ///
  /// - Parameters:
  ///   - cursor: the `next` of the page before; `OwnerClient.now` for what happens from now on; nil for the oldest event
  ///     that is kept.
  ///   - types: types of events, and patterns such as `device.*`; nil for all.
  ///   - deviceID: only events of this device.
  ///   - limit: the maximum number of events, 1 to 1000.
  public func events(
    after cursor: String? = nil, types: [String]? = nil, deviceID: String? = nil, limit: Int = 100,
    waitSeconds: Int = 0
  ) async throws(RegistryClientError) -> EventPage {
    let query = EventQuery(
      cursor: cursor, types: types, deviceID: deviceID, limit: limit, waitSeconds: waitSeconds)
    return try await exchange.perform(query.call()).eventPage()
  }

  /// The events as they happen. The parameters are those of `events`; malformed ones end the sequence with
  /// `invalidArgument`.
  ///
  /// - Parameter report: called with each temporary failure, which is retried.
  public func eventPages(
    after cursor: String? = nil, types: [String]? = nil, deviceID: String? = nil, limit: Int = 100,
    waitSeconds: Int = 25, report: @escaping @Sendable (RegistryClientError) -> Void = { _ in }
  ) -> EventPages {
    EventPages(
      exchange: exchange,
      query: EventQuery(
        cursor: cursor, types: types, deviceID: deviceID, limit: limit, waitSeconds: waitSeconds),
      report: report)
  }
}

/// The query of the feed.
private struct EventQuery: Sendable {
  var cursor: String?
  let types: [String]?
  let deviceID: String?
  let limit: Int
  var waitSeconds: Int

  /// Throws `invalidArgument`.
  func call() throws(RegistryClientError) -> Call {
    guard OwnerClient.eventWaits.contains(waitSeconds) else {
      throw .outOfBounds("waitSeconds", OwnerClient.eventWaits)
    }
    guard OwnerClient.eventCounts.contains(limit) else { throw .outOfBounds("limit", OwnerClient.eventCounts) }
    var target = "/api/v1/events?limit=\(limit)&wait=\(waitSeconds)"
    if let cursor { target += "&after=\(PercentEncoding.encode(cursor))" }
    if let types { target += "&types=\(PercentEncoding.encode(types.joined(separator: ",")))" }
    if let deviceID { target += "&device_id=\(try String.pathID(deviceID))" }
    return Call(
      method: "GET", target: target, timeoutSeconds: Double(waitSeconds) + Call.timeoutSeconds)
  }
}
