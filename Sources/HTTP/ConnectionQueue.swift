/// Connections of one server, ordered by the time at which they were added. Adding and removing take constant time.
///
/// Not Sendable: it belongs to the server's loop. A connection is in one queue at most, and leaves it before it is
/// released.
final class ConnectionQueue {
  /// Nil if the queue is empty.
  private(set) unowned(unsafe) var oldest: Connection?
  private unowned(unsafe) var newest: Connection?

  /// The neighbours of a connection in its queue.
  struct Links {
    fileprivate unowned(unsafe) var older: Connection?
    fileprivate unowned(unsafe) var newer: Connection?
  }

  func append(_ connection: Connection) {
    connection.links.older = newest
    connection.links.newer = nil
    if let newest { newest.links.newer = connection } else { oldest = connection }
    newest = connection
  }

  func remove(_ connection: Connection) {
    let links = connection.links
    if let older = links.older { older.links.newer = links.newer } else { oldest = links.newer }
    if let newer = links.newer { newer.links.older = links.older } else { newest = links.older }
  }
}
