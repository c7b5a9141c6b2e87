private import Synchronization

/// Caches which clients exist and whether they are suspended, so that an owner's request does not query the database for
/// its client. All loops share it. It is used only while the process is notified of the database's changes.
///
/// What was fetched while a change arrived is not cached, because it may be older than the change.
final class ClientCache: Sendable {
  /// Cached clients. When it is full, one that was not used recently is evicted.
  static let maximumEntries = 16_384

  /// What a request of the owner needs to know of its client.
  struct Standing {
    /// Nil unless the client is suspended.
    let suspension: DeviceAccess.ClientSuspension?
  }

  /// Taken before a fetch, to detect a change during the fetch.
  struct Ticket {
    fileprivate let changes: UInt64
  }

  private struct State {
    var existing = BoundedCache<ClientID, Standing>(capacity: maximumEntries)
    /// Changes so far.
    var changes: UInt64 = 0
  }
  private let state = Mutex(State())

  /// Nil unless the client is known to exist.
  func standing(of id: ClientID) -> Standing? { state.withLock { $0.existing.use(id) } }

  func ticket() -> Ticket { state.withLock { Ticket(changes: $0.changes) } }

  /// Caches the standing of a client that exists, unless a change arrived during the fetch.
  func remember(_ id: ClientID, _ standing: Standing, fetchedWith ticket: Ticket) {
    state.withLock { if $0.changes == ticket.changes { $0.existing[id] = standing } }
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
