internal import EventLoop
internal import Registry

/// Changes of one kind to devices, made together: those that arrive while a statement is under way share the next one.
///
/// Together they wait for the disk once, and cost one round trip. A transaction that notifies (NOTIFY) commits only when
/// the one before it is on disk (PreCommit_Notify in PostgreSQL's async.c): one by one, such changes would wait for the
/// disk in turn on whatever connection.
///
/// No change may hold up another. So the statement skips devices that another transaction has locked. A change that it
/// did not make, or that was rolled back with it, is then made alone, which also tells why it fails.
///
/// `@unchecked Sendable`: confined to `loop`.
final class PostgresDeviceChanges: @unchecked Sendable {
  private struct Pending {
    let id: DeviceID
    /// The parameters of `alone`.
    let values: [PostgresValue]
    /// Called on the loop, with the device if this is what changed it.
    let complete: (Result<Device?, RegistryError>) -> Void
  }

  /// Changes that wait for the next statement. More are refused.
  static let maximumWaiting = 1024
  /// Changes of one statement.
  static let maximumPerStatement = 256

  private let name: String
  private let together: PostgresStatement<Device>
  private let alone: PostgresStatement<Device>
  private let types: [PostgresValue.ElementType]
  private let loop: EventLoop
  private let lane: PostgresLane
  private var waiting: [Pending] = []
  private var isUnderWay = false

  /// - Parameters:
  ///   - name: what the changes are called in errors.
  ///   - together: takes an array of each parameter of `alone`; and skips devices that others have locked.
  ///   - alone: changes one device.
  ///   - types: of the parameters.
  init(
    _ name: String, together: PostgresStatement<Device>, alone: PostgresStatement<Device>,
    of types: [PostgresValue.ElementType], on loop: EventLoop, lane: PostgresLane
  ) {
    self.name = name
    self.together = together
    self.alone = alone
    self.types = types
    self.loop = loop
    self.lane = lane
  }

  /// Changes that wait for the next statement.
  var waitingCount: Int { waiting.count }

  /// Makes a change. Nil where there is nothing to change: no such device of that owner that is not revoked.
  func make(_ id: DeviceID, _ values: PostgresValue...) async throws(RegistryError) -> Device? {
    loop.assertCurrent()
    precondition(values.count == types.count)
    let result: Result<Device?, RegistryError> = await withUnsafeContinuation { continuation in
      guard waiting.count < Self.maximumWaiting else {
        return continuation.resume(returning: .failure(.overloaded(queue: "postgres \(name)")))
      }
      waiting.append(Pending(id: id, values: values) { continuation.resume(returning: $0) })
      if !isUnderWay { planNext() }
    }
    return try result.get()
  }

  /// All that arrive in this pass of the loop go together.
  private func planNext() {
    isUnderWay = true
    loop.atEndOfPass { [self] in
      let changes = takeNext()
      let values = types.enumerated().map { index, type in
        PostgresValue.array(of: type, changes.map { $0.values[index] })
      }
      lane.submit(
        PostgresRequest(statement: together.prepared, values: values) { answer in
          self.finish(changes, answer)
          self.isUnderWay = false
          if !self.waiting.isEmpty { self.planNext() }
        })
    }
  }

  /// Of different devices: one statement changes a row once. Others of the same device stay for the next.
  private func takeNext() -> [Pending] {
    var (next, rest): ([Pending], [Pending]) = ([], [])
    var ids: Set<DeviceID> = []
    for change in waiting {
      if next.count < Self.maximumPerStatement, ids.insert(change.id).inserted {
        next.append(change)
      } else {
        rest.append(change)
      }
    }
    waiting = rest
    return next
  }

  private func finish(_ changes: [Pending], _ answer: Result<PostgresAnswer, PostgresFailure>) {
    var changed: [DeviceID: Device] = [:]
    switch answer {
    case .success(let answer):
      for device in answer.rows(together.row) { changed[device.id] = device }
    case .failure(let failure) where failure.mayBeOfOneRow: break
    case .failure(let failure):
      for change in changes { change.complete(.failure(failure.registryError)) }
      return
    }
    for change in changes {
      if let device = changed[change.id] {
        change.complete(.success(device))
      } else {
        makeAlone(change)
      }
    }
  }

  private func makeAlone(_ change: Pending) {
    lane.submit(
      PostgresRequest(statement: alone.prepared, values: change.values) { [alone] answer in
        change.complete(answer.map { $0.firstRow(alone.row) }.mapError(\.registryError))
      })
  }
}
