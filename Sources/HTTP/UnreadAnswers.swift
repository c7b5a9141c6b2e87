internal import Encoding
private import Synchronization

/// The parties that share a bound of unread bytes.
enum Party: Hashable {
  /// As the responder names it in `Response.party`.
  case named(Int)
  /// An address without a name: its `IPAddress.network`.
  case address(IPAddress)
}

/// The answers that clients have not read yet, over all servers of a process: bounded for each party, and in all.
///
/// Only connections whose client reads more slowly than the service answers come here.
final class UnreadAnswers: Sendable {
  private let maximumBytes: Int
  private let maximumBytesPerParty: Int
  private let state = Mutex(State())

  fileprivate struct State {
    var bytes = 0
    var nextNumber: UInt64 = 0
    var parties: [Party: Holding] = [:]
  }

  fileprivate struct Holding {
    var bytes = 0
    /// By their numbers, which grow.
    var claims: [UInt64: (bytes: Int, drop: @Sendable () -> Void)] = [:]
  }

  /// The unread answer of one connection.
  struct Claim {
    let party: Party
    fileprivate let number: UInt64
    fileprivate(set) var bytes: Int
  }

  init(maximumBytes: Int, maximumBytesPerParty: Int) {
    (self.maximumBytes, self.maximumBytesPerParty) = (maximumBytes, maximumBytesPerParty)
  }

  var bytes: Int { state.withLock { $0.bytes } }

  /// Counts the unread bytes of a connection. If all parties together exceed their bound, the party that has most loses
  /// its oldest answers, which may include this one.
  /// - Parameter drop: called, on any thread, if the connection must be closed.
  func claim(_ bytes: Int, for party: Party, drop: @escaping @Sendable () -> Void) -> Claim {
    var dropped: [@Sendable () -> Void] = []
    let claim = state.withLock { state in
      var holding = state.parties[party] ?? Holding()
      let claim = Claim(party: party, number: state.nextNumber, bytes: bytes)
      state.nextNumber += 1
      holding.claims[claim.number] = (bytes, drop)
      holding.bytes += bytes
      state.parties[party] = holding
      state.bytes += bytes
      while state.bytes > maximumBytes, let drop = state.dropOldest() { dropped.append(drop) }
      return claim
    }
    for drop in dropped { drop() }
    return claim
  }

  /// Whether the party has more unread bytes than it should. Its only unread answer may be of any size.
  func isBeyondBound(_ party: Party) -> Bool {
    state.withLock { state in
      guard let holding = state.parties[party] else { return false }
      return holding.bytes > maximumBytesPerParty && holding.claims.count > 1
    }
  }

  /// The client has read everything, or the connection is closed.
  func release(_ claim: Claim) { state.withLock { _ = $0.remove(claim.number, of: claim.party) } }

  /// The client has read a part.
  func reduce(_ claim: inout Claim, to bytes: Int) {
    guard bytes < claim.bytes else { return }
    let freed = claim.bytes - bytes
    claim.bytes = bytes
    state.withLock { state in
      guard state.parties[claim.party]?.claims[claim.number] != nil else { return }
      state.parties[claim.party]?.claims[claim.number]?.bytes = bytes
      state.parties[claim.party]?.bytes -= freed
      state.bytes -= freed
    }
  }
}

extension UnreadAnswers.State {
  /// Removes the oldest answer of the party that has most.
  fileprivate mutating func dropOldest() -> (@Sendable () -> Void)? {
    guard let (party, holding) = parties.max(by: { $0.value.bytes < $1.value.bytes }),
      let oldest = holding.claims.keys.min()
    else { return nil }
    return remove(oldest, of: party)
  }

  fileprivate mutating func remove(_ number: UInt64, of party: Party) -> (@Sendable () -> Void)? {
    guard let claim = parties[party]?.claims.removeValue(forKey: number) else { return nil }
    parties[party]?.bytes -= claim.bytes
    if parties[party]?.claims.isEmpty == true { parties[party] = nil }
    bytes -= claim.bytes
    return claim.drop
  }
}
