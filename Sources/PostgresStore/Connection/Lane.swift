internal import EventLoop
internal import Registry

/// The connections for statements of one kind, and the requests that wait for one. Used on one loop.
///
/// Requests wait here and not in the connections' pipelines, so that they are sent in turn over clients. A write that
/// waits for a lock blocks its connection. So nothing is sent after it, one client's use at most half of the connections,
/// and one connection is kept for short and urgent statements.
final class PostgresLane {
  private struct Waiting {
    let request: PostgresRequest
    let deadlineMilliseconds: Int64
  }

  private let connections: [PostgresConnection]
  private let limits: PostgresLimits
  private var waiting: FairQueue<Waiting>
  private var isClosed = false

  init(_ connections: [PostgresConnection], limits: PostgresLimits) {
    self.connections = connections
    self.limits = limits
    waiting = FairQueue(maximumCount: limits.waiting, maximumPerParty: limits.waitingPerClient)
    for connection in connections {
      connection.whenFree = { [weak self] in self?.sendWaiting() }
    }
  }

  /// Sends the request on the least loaded connection that may take it, or queues it until there is one.
  func submit(_ request: PostgresRequest) {
    if isClosed {
      request.complete(.failure(PostgresFailure(message: "the store was closed")))
    } else if waiting.count == 0, let connection = connection(for: request) {
      connection.send(request)
    } else {
      queue(request)
      sendWaiting()
    }
  }

  private func queue(_ request: PostgresRequest) {
    let deadline = MonotonicClock.milliseconds + limits.waitMilliseconds
    do throws(QueueFull) {
      let waiting = Waiting(request: request, deadlineMilliseconds: deadline)
      if request.statement.kind.isNextStep {
        try self.waiting.appendFirst(waiting, request.turn)
      } else {
        try self.waiting.append(waiting, request.turn)
      }
    } catch {
      let refusal = error.registryError(
        queue: "postgres connections", maximumPerClient: limits.waitingPerClient)
      request.complete(.failure(PostgresFailure(refusal: refusal)))
    }
  }

  /// Advances the connections, and fails requests that waited too long.
  func advance(to now: Int64) {
    for connection in connections { connection.advance(to: now) }
    guard waiting.count > 0 else { return }
    // The request was not sent, so nothing was done.
    let failure =
      connections.contains(where: \.isReady)
      ? PostgresFailure(refusal: .overloaded(queue: "postgres connections"))
      : PostgresFailure(message: "no connection to the database")
    for overdue in waiting.removeAll(where: { $0.deadlineMilliseconds <= now }) {
      overdue.request.complete(.failure(failure))
    }
  }

  var state: PostgresLaneState {
    var state = PostgresLaneState()
    state.waitingRequests = waiting.count
    for connection in connections {
      state.pendingStatements += connection.pendingCount
      switch connection.state {
      case .ready: state.ready += 1
      case .connecting, .preparing: state.connecting += 1
      case .disconnected, .closed: state.down += 1
      }
    }
    return state
  }

  func close() {
    isClosed = true
    for connection in connections { connection.close() }
    for waiting in waiting.removeAll() {
      waiting.request.complete(.failure(PostgresFailure(message: "the store was closed")))
    }
  }

  private func sendWaiting() {
    while waiting.count > 0, connections.contains(where: \.hasRoom) {
      var chosen: PostgresConnection?
      let next = waiting.removeFirst { waiting in
        chosen = connection(for: waiting.request)
        return chosen != nil
      }
      guard let next, let chosen else { return }
      chosen.send(next.request)
    }
  }

  /// The least loaded connection that may take the request now.
  private func connection(for request: PostgresRequest) -> PostgresConnection? {
    let kind = request.statement.kind
    if kind.isShort { return leastLoaded() }
    let first = kind.urgency != .urgent && connections.count > 1 ? 1 : 0
    guard let party = request.party else { return leastLoaded(from: first) }
    let used = connections.count { $0.isUsed(by: party) }
    if kind.locksClient, used > 0, connections.contains(where: { $0.isLocking(party) }) { return nil }
    return used < max(1, connections.count / 2) ? leastLoaded(from: first) : nil
  }

  private func leastLoaded(from first: Int = 0) -> PostgresConnection? {
    var best: PostgresConnection?
    var bestCount = Int.max
    for index in first..<connections.count {
      let connection = connections[index]
      guard connection.hasRoom, connection.pendingCount < bestCount else { continue }
      (best, bestCount) = (connection, connection.pendingCount)
    }
    return best
  }
}

/// A snapshot of the connections for statements of one kind, and their queue.
public struct PostgresLaneState: Hashable, Sendable {
  /// Connections that can be used.
  public var ready = 0
  /// Connections that are being made.
  public var connecting = 0
  /// Connections that are down, until the next attempt.
  public var down = 0
  /// Sent statements without an answer.
  public var pendingStatements = 0
  /// Requests that wait for a connection.
  public var waitingRequests = 0
}
