/// Stores events. Every write that takes a `Change` records its events in the same transaction.
public protocol EventStore: Sendable {
  /// Events of the client after a position, in the order of commit.
  ///
  /// Throws `eventsExpired` if the retention has deleted events after the position, or if the position is not in this
  /// database's feed.
  ///
  /// - Parameters:
  ///   - position: nil for the oldest event that is kept.
  ///   - limit: the maximum number of events of the page.
  ///   - scan: the maximum number of events that are read to find them.
  func events(
    of client: ClientID, after position: EventPosition?, _ filter: EventFilter, limit: Int, scan: Int
  ) async throws(RegistryError) -> EventPage

  /// The position after every event that readers see now.
  func eventsEnd() async throws(RegistryError) -> EventPosition

  /// The position of the client's event after which it has `count` more; nil if it has no more than these.
  func eventPosition(of client: ClientID, beforeLast count: Int) async throws(RegistryError) -> EventPosition?

  /// When the first event happened that readers do not see yet, because an older transaction still runs; nil if they see
  /// all.
  func firstHiddenEvent() async throws(RegistryError) -> Timestamp?

  /// Deletes the first events of the feed that happened before a time, and returns how many, at most `maximumRows`. Readers
  /// that were not there yet get `eventsExpired`.
  func removeEvents(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int
}

extension EventStore {
  /// Events that a page reads at most to find those that its filter lets through.
  private static var maximumScan: Int { 2000 }

  /// The same, with a bounded number of events that are read: without a filter, no more than the page has.
  public func events(
    of client: ClientID, after position: EventPosition?, _ filter: EventFilter, limit: Int
  ) async throws(RegistryError) -> EventPage {
    try await events(
      of: client, after: position, filter, limit: limit,
      scan: filter.isAll ? limit : max(limit, Self.maximumScan))
  }
}
