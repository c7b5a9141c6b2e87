private import Synchronization

/// Caches which clients exist, so that an owner's request does not query the database for its client. All loops share
/// it. It is used only while the process is notified of the database's changes.
///
/// What was fetched while a change arrived is not cached, because it may be older than the change.
final class ClientCache: Sendable {
  /// Cached clients. When it is full, one that was not used recently is evicted.
  static let maximumEntries = 16_384

  /// Taken before a fetch, to detect a change during the fetch.
  struct Ticket {
    fileprivate let changes: UInt64
  }

  private struct State {
    var existing = BoundedCache<ClientID, Void>(capacity: maximumEntries)
    /// Changes so far.
    var changes: UInt64 = 0
  }
  private let state = Mutex(State())

  /// Whether the client is known to exist.
  func hasClient(_ id: ClientID) -> Bool { state.withLock { $0.existing.use(id) != nil } }

  func ticket() -> Ticket { state.withLock { Ticket(changes: $0.changes) } }

  /// Caches that the client exists, unless a change arrived during the fetch.
  func remember(_ id: ClientID, fetchedWith ticket: Ticket) {
    state.withLock { if $0.changes == ticket.changes { $0.existing[id] = () } }
  }

  func forget(_ id: ClientID) {
    state.withLock { state in
      state.changes += 1
      state.existing[id] = nil
    }
  }

  func forgetAll() {
    state.withLock { state in
      state.changes += 1
      state.existing.removeAll()
    }
  }
}
