internal import EventLoop
internal import Registry

/// Batches changes of one kind to devices: changes that arrive while a statement runs share the next one.
///
/// A batch waits for the disk once, and costs one round trip. A transaction that uses NOTIFY commits only when
/// the previous one is on disk (PreCommit_Notify in PostgreSQL's async.c). Sent one by one, such changes would
/// wait for the disk one after another, whatever connection they use.
///
/// No change may block another. So the statement skips devices (and clients, if it locks them) that another transaction
/// has locked. A change that was skipped, or rolled back with the batch, is then made alone, which also gives its own
/// error; those of one client whose row was locked wait for it together.
final class PostgresDeviceChanges: @unchecked Sendable {
  private struct Pending {
    let id: DeviceID
    /// A number for the client.
    let party: Int
    /// The parameters of `alone`.
    let values: [PostgresValue]
    var isRepeated = false
    /// Called on the loop, with the device if this change updated it.
    let complete: (Result<Device?, RegistryError>) -> Void
  }

  /// Waiting changes. More are refused.
  static let maximumWaiting = 1024
  static let maximumPerStatement = 256

  private let name: String
  private let together: PostgresStatement<Device>
  private let togetherOfOne: PostgresStatement<Device>?
  private let alone: PostgresStatement<Device>
  private let types: [PostgresValue.ElementType]
  private let loop: EventLoop
  private let lane: PostgresLane
  private let maximumPerClient: Int
  private var waiting: FairQueue<Pending>
  private var isRunning = false
  /// Clients whose skipped changes wait for their row. Their further changes are collected meanwhile.
  private var blockedParties: Set<Int> = []

  /// - Parameters:
  ///   - name: names the queue in errors.
  ///   - together: takes an array for each parameter of `alone`, and skips devices that other transactions have
  ///     locked.
  ///   - togetherOfOne: the same for changes of one client, whose row it waits for, if `together` skips locked clients.
  ///   - alone: changes one device.
  ///   - types: the types of the parameters.
  ///   - maximumPerClient: changes of one client that wait for the next statement. More are refused.
  init(
    _ name: String, together: PostgresStatement<Device>, togetherOfOne: PostgresStatement<Device>? = nil,
    alone: PostgresStatement<Device>,
    of types: [PostgresValue.ElementType], on loop: EventLoop, lane: PostgresLane, maximumPerClient: Int
  ) {
    self.name = name
    self.together = together
    self.togetherOfOne = togetherOfOne
    self.alone = alone
    self.types = types
    self.loop = loop
    self.lane = lane
    self.maximumPerClient = maximumPerClient
    waiting = FairQueue(maximumCount: Self.maximumWaiting, maximumPerParty: maximumPerClient)
  }

  /// Changes that wait for the next statement.
  var waitingCount: Int { waiting.count }

  /// Makes a change. Returns nil if the owner has no such unrevoked device.
  func make(
    _ id: DeviceID, of owner: ClientID, _ values: [PostgresValue]
  ) async throws(RegistryError) -> Device? {
    loop.assertCurrent()
    precondition(values.count == types.count)
    let result: Result<Device?, RegistryError> = await withUnsafeContinuation { continuation in
      let party = owner.hashValue
      let change = Pending(id: id, party: party, values: values) { continuation.resume(returning: $0) }
      do throws(QueueFull) {
        try waiting.append(change, Turn(of: party))
      } catch {
        return change.complete(
          .failure(error.registryError(queue: "postgres \(name)", maximumPerClient: maximumPerClient)))
      }
      planNext()
    }
    return try result.get()
  }

  /// Sends one statement at the end of the loop's pass, for all changes that arrived in the pass.
  private func planNext() {
    guard !isRunning, waiting.count > 0 else { return }
    isRunning = true
    loop.atEndOfPass { [self] in
      let changes = takeNext()
      guard !changes.isEmpty else {
        isRunning = false
        return
      }
      make(changes, with: together) { skipped in
        self.isRunning = false
        self.makeAgain(skipped)
        self.planNext()
      }
    }
  }

  /// Makes changes in one statement. `whenSkipped` gets those that the statement skipped.
  private func make(
    _ changes: [Pending], with statement: PostgresStatement<Device>, of party: Int? = nil,
    whenSkipped: @escaping ([Pending]) -> Void
  ) {
    let values = PostgresValue.columns(of: types, changes.map(\.values))
    lane.submit(
      PostgresRequest(statement: statement.prepared, values: values, party: party) { answer in
        whenSkipped(self.finish(changes, answer, of: statement))
      })
  }

  private func makeAgain(_ skipped: [Pending]) {
    for (party, changes) in Dictionary(grouping: skipped, by: \.party) {
      switch togetherOfOne {
      case let togetherOfOne? where changes.count > 1:
        blockedParties.insert(party)
        make(changes, with: togetherOfOne, of: party) { skipped in
          for change in skipped { self.makeAlone(change) }
          self.blockedParties.remove(party)
          self.planNext()
        }
      case .some where !changes[0].isRepeated && repeatOnce(changes[0]): break
      default:
        for change in changes { makeAlone(change) }
      }
    }
  }

  /// Puts the change into the next statement: by then, its client is probably no longer locked. False if the queue is
  /// full.
  private func repeatOnce(_ change: Pending) -> Bool {
    var change = change
    change.isRepeated = true
    do throws(QueueFull) {
      try waiting.append(change, Turn(of: change.party))
      return true
    } catch {
      return false
    }
  }

  /// In turn over clients, and at most one change for each device, since a statement changes a row once. The others
  /// wait for the next statement.
  private func takeNext() -> [Pending] {
    var next: [Pending] = []
    var ids: Set<DeviceID> = []
    while next.count < Self.maximumPerStatement,
      let change = waiting.removeFirst(where: { !ids.contains($0.id) && !blockedParties.contains($0.party) })
    {
      ids.insert(change.id)
      next.append(change)
    }
    return next
  }

  /// Completes the changes that were made, and those that failed together. Returns the others that were skipped.
  private func finish(
    _ changes: [Pending], _ answer: Result<PostgresAnswer, PostgresFailure>,
    of statement: PostgresStatement<Device>
  ) -> [Pending] {
    switch answer {
    case .success(let answer):
      let changed = Dictionary(uniqueKeysWithValues: answer.rows(statement.row).map { ($0.id, $0) })
      return changes.filter { change in
        guard let device = changed[change.id] else { return true }
        change.complete(.success(device))
        return false
      }
    case .failure(let failure) where failure.mayBeOfOneRow:
      for change in changes { makeAlone(change) }
    case .failure(let failure):
      for change in changes { change.complete(.failure(failure.registryError)) }
    }
    return []
  }

  private func makeAlone(_ change: Pending) {
    lane.submit(
      PostgresRequest(statement: alone.prepared, values: change.values, party: change.party) { [alone] answer in
        change.complete(answer.map { $0.firstRow(alone.row) }.mapError(\.registryError))
      })
  }
}
