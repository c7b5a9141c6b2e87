private import Synchronization

/// The clients with new events that a reader of all feeds, the deliverer of webhooks or the Telegram bot, has not looked at.
/// All loops share it.
public final class RecordedClients: Sendable {
  /// Clients that are remembered. If there are more, the reader looks at all.
  static let maximum = 10_000

  private struct State {
    var clients: Set<ClientID> = []
    var isComplete = true
  }
  private let state = Mutex(State())

  public init() {}

  /// The client may have new events.
  public func note(_ client: ClientID) {
    state.withLock { state in
      if state.clients.count < Self.maximum { state.clients.insert(client) } else { state.isComplete = false }
    }
  }

  /// Any client may have new events.
  public func noteAll() { state.withLock { $0.isComplete = false } }

  /// Removes some of the clients, at most `count`. If not `isComplete`, any other client may have new events.
  public func take(atMost count: Int) -> (clients: [ClientID], isComplete: Bool) {
    state.withLock { state in
      defer { state.isComplete = true }
      let taken = Array(state.clients.prefix(count))
      state.clients.subtract(taken)
      return (taken, state.isComplete)
    }
  }
}
