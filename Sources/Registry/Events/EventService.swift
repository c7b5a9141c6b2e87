/// The feed of events. Each event loop has one, with the loop's own store.
public struct EventService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices

  /// How many events a page may have, and has when the caller gives no limit.
  public static let pageSize = 1...1000
  public static let defaultPage = 100
  /// How long a reader may wait, in seconds.
  public static let waitSeconds = 0...30
  /// How often a reader looks again while events are hidden by an older transaction.
  static let hiddenIntervalMilliseconds: Int64 = 50

  init(store: any RegistryStore, live: LiveDevices) {
    self.store = store
    self.live = live
  }

  /// A part of the feed.
  public struct Read: Sendable {
    public let events: [RecordedEvent]
    /// Where to continue.
    public let next: EventPosition
    /// When to ask again, if the reader could not wait as requested.
    public let retryAfterSeconds: Int?
  }

  /// Events of the client after a position, in the order of commit. If there are none, waits for one.
  ///
  /// The wait ends early when the service stops, and after a page in which the filter left out all events. Throws
  /// `eventsExpired`.
  ///
  /// - Parameter position: nil for the oldest event that is kept.
  public func read(
    of client: ClientID, after position: EventPosition?, _ filter: EventFilter = .all, limit: Int = defaultPage,
    waitSeconds: Int = 0
  ) async throws(RegistryError) -> Read {
    // The reader takes its place before it queries, so an event that is recorded after the query wakes it.
    guard waitSeconds > 0, let place = live.readers.takePlace(of: client) else {
      let page = try await store.events(of: client, after: position, filter, limit: limit)
      let mustWait = waitSeconds > 0 && page.events.isEmpty && page.isLast
      return Read(events: page.events, next: page.next, retryAfterSeconds: mustWait ? 1 : nil)
    }
    defer { live.readers.leave(place) }
    let deadline = live.monotonicMilliseconds() + Int64(waitSeconds) * 1000
    var position = position
    while true {
      let page = try await store.events(of: client, after: position, filter, limit: limit)
      let read = Read(events: page.events, next: page.next, retryAfterSeconds: nil)
      guard page.events.isEmpty, page.isLast else { return read }
      // What was read is not read again, and cannot expire meanwhile.
      position = page.next
      let now = live.monotonicMilliseconds()
      let until = page.hasHidden ? min(deadline, now + Self.hiddenIntervalMilliseconds) : deadline
      switch await place.wait(untilMilliseconds: until) {
      case .ended: return read
      case .timedOut where live.monotonicMilliseconds() >= deadline: return read
      case .timedOut, .changed: break
      }
    }
  }

  /// How many events `recent` goes back.
  public static let recentCount = 2000

  /// The position before the client's last `recentCount` events; nil for the oldest event that is kept.
  public func recent(of client: ClientID) async throws(RegistryError) -> EventPosition? {
    try await store.eventPosition(of: client, beforeLast: Self.recentCount)
  }

  /// The position after every event that readers see now.
  public func end() async throws(RegistryError) -> EventPosition { try await store.eventsEnd() }
}
