internal import EventLoop
internal import Registry

/// The connections for statements of one kind, and the requests that wait while none is ready. Used on one
/// loop.
final class PostgresLane {
  private struct Waiting {
    let request: PostgresRequest
    let deadlineMilliseconds: Int64
  }

  private let connections: [PostgresConnection]
  private let limits: PostgresLimits
  private var waiting = Queue<Waiting>()
  private var isClosed = false

  init(_ connections: [PostgresConnection], limits: PostgresLimits) {
    self.connections = connections
    self.limits = limits
    for connection in connections {
      connection.whenReady = { [weak self] in self?.sendWaiting() }
    }
  }

  /// Sends the request on the least loaded connection, or queues it until one is ready.
  func submit(_ request: PostgresRequest) {
    if isClosed {
      request.complete(.failure(PostgresFailure(message: "the store was closed")))
    } else if let connection = leastLoaded {
      connection.send(request)
    } else if waiting.count < limits.waiting {
      let deadline = MonotonicClock.milliseconds + limits.waitMilliseconds
      waiting.append(Waiting(request: request, deadlineMilliseconds: deadline))
    } else {
      request.complete(.failure(PostgresFailure(fullQueue: "postgres connections")))
    }
  }

  /// Advances the connections, and fails requests that waited too long.
  func advance(to now: Int64) {
    for connection in connections { connection.advance(to: now) }
    while let first = waiting.first, first.deadlineMilliseconds <= now {
      _ = waiting.removeFirst()
      first.request.complete(.failure(PostgresFailure(message: "no connection to the database")))
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

  private var leastLoaded: PostgresConnection? {
    var best: PostgresConnection?
    for connection in connections where connection.isReady {
      if best.map({ connection.pendingCount < $0.pendingCount }) ?? true { best = connection }
    }
    return best
  }

  /// When all connections are full, the remaining requests wait for another one or for their deadline.
  private func sendWaiting() {
    while let connection = leastLoaded, !connection.isFull,
      let first = waiting.removeFirst()
    {
      connection.send(first.request)
    }
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
