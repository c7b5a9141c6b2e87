internal import Encoding
private import Synchronization

/// What the servers of a process count together, over all their loops: connections by address, the unread bytes of
/// answers, and the connections that were closed because a bound was reached.
public final class ConnectionLedger: Sendable {
  /// The bound that a connection was closed for.
  public enum Bound: String, CaseIterable, Sendable {
    /// Its address had the maximum of connections.
    case address
    /// All connections were taken, and this one had been idle longest.
    case idle
    /// All connections were taken, none was idle, and this one's request or handshake was the oldest that had not
    /// arrived completely.
    case unfinished
    /// Its party had more than the maximum of unread bytes, and this client read nothing.
    case unreadOfParty = "unread_party"
    /// All parties together had more than the maximum of unread bytes, and its party had the most.
    case unread
  }

  private let maximumPerAddress: Int
  /// By `IPAddress.network`.
  private let connections = Mutex<[IPAddress: Int]>([:])
  private let closed = Mutex<[Bound: Int]>([:])
  let unreadAnswers: UnreadAnswers

  public init(within limits: HTTPLimits) {
    maximumPerAddress = limits.maximumConnectionsPerAddress
    unreadAnswers = UnreadAnswers(
      maximumBytes: limits.maximumUnreadBytes, maximumBytesPerParty: limits.maximumUnreadBytesPerParty)
  }

  /// Connections that were closed because of a bound. From any thread.
  public func closedConnections(for bound: Bound) -> Int { closed.withLock { $0[bound] ?? 0 } }

  /// Bytes of answers that clients have not read yet. From any thread.
  public var unreadBytes: Int { unreadAnswers.bytes }

  func noteClosed(for bound: Bound) { closed.withLock { $0[bound, default: 0] += 1 } }

  /// Counts a new connection. False, without effect, if the address has the maximum.
  func begin(_ network: IPAddress) -> Bool {
    connections.withLock { connections in
      let count = connections[network] ?? 0
      guard count < maximumPerAddress else { return false }
      connections[network] = count + 1
      return true
    }
  }

  /// A connection that was counted has ended.
  func end(_ network: IPAddress) {
    connections.withLock { connections in
      guard let count = connections[network] else { return }
      connections[network] = count > 1 ? count - 1 : nil
    }
  }
}

extension IPAddress {
  /// The address that bounds are counted by: a version 4 address, or the /64 of a version 6 address, which usually
  /// belongs to one customer (RFC 6177).
  var network: IPAddress { isVersion4 ? self : IPAddress(high: high, low: 0) }
}
