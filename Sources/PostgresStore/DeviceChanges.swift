internal import EventLoop
internal import Registry

/// Changes of one kind to devices, made together: those that come while a statement of them is under way are the next
/// one's.
///
/// Together they wait for the disk once, and cost one round trip. What tells other processes of itself (NOTIFY)
/// PostgreSQL commits only when the one before is on disk (PreCommit_Notify in its async.c): one by one, such changes
/// would queue up for the disk, whatever the connection.
///
/// None may hold up another. So the statement passes over devices that another transaction has locked, and what it did
/// not do, or was undone with, is then done alone, which also tells why.
///
/// `@unchecked Sendable`: confined to `loop`.
final class PostgresDeviceChanges: @unchecked Sendable {
  struct Change {
    let id: DeviceID
    let owner: ClientID
    let time: Timestamp
    /// The new name, where the change is one of names.
    var deviceName: DeviceName?
  }
  private struct Waiting {
    let change: Change
    /// Called on the loop, with the device if this is what changed it.
    let complete: (Result<Device?, RegistryError>) -> Void
  }

  /// Changes that wait for the next statement. More are refused.
  static let maximumWaiting = 1024
  /// Changes of one statement.
  static let maximumPerStatement = 256

  private let together: PostgresStatement
  private let alone: PostgresStatement
  private let loop: EventLoop
  private let lane: PostgresLane
  private var waiting: [Waiting] = []
  private var isUnderWay = false

  /// - Parameters:
  ///   - together: takes arrays of ids, owners, times and, where there are some, new names; and leaves alone what others
  ///     have locked.
  ///   - alone: takes one of each.
  init(together: PostgresStatement, alone: PostgresStatement, on loop: EventLoop, lane: PostgresLane) {
    self.together = together
    self.alone = alone
    self.loop = loop
    self.lane = lane
  }

  /// What waits for the statement before its own.
  var waitingCount: Int { waiting.count }

  /// Makes a change. Nil where there is nothing to change: no such device of that owner that is not revoked.
  func make(_ change: Change) async throws(RegistryError) -> Device? {
    loop.assertCurrent()
    let result: Result<Device?, RegistryError> = await withUnsafeContinuation { continuation in
      guard waiting.count < Self.maximumWaiting else {
        return continuation.resume(
          returning: .failure(.overloaded(queue: "postgres \(together.rawValue)")))
      }
      waiting.append(Waiting(change: change) { continuation.resume(returning: $0) })
      if !isUnderWay { planNext() }
    }
    return try result.get()
  }

  /// All that come in this pass of the loop go together.
  private func planNext() {
    isUnderWay = true
    loop.atEndOfPass { [self] in
      let changes = takeNext()
      lane.submit(
        PostgresRequest(statement: together, values: Self.values(changes.map(\.change))) { answer in
          self.finish(changes, answer)
          self.isUnderWay = false
          if !self.waiting.isEmpty { self.planNext() }
        })
    }
  }

  /// Of different devices: one statement changes a row once. Others of the same device stay for the next.
  private func takeNext() -> [Waiting] {
    var (next, rest): ([Waiting], [Waiting]) = ([], [])
    var ids: Set<DeviceID> = []
    for waiting in waiting {
      if next.count < Self.maximumPerStatement, ids.insert(waiting.change.id).inserted {
        next.append(waiting)
      } else {
        rest.append(waiting)
      }
    }
    waiting = rest
    return next
  }

  private func finish(_ changes: [Waiting], _ answer: Result<PostgresAnswer, PostgresFailure>) {
    var changed: [DeviceID: Device] = [:]
    switch answer {
    case .success(let answer):
      for device in answer.map(Device.init(row:)) { changed[device.id] = device }
    case .failure(let failure) where failure.mayBeOfOneRow: break
    case .failure(let failure):
      for change in changes { change.complete(.failure(failure.registryError)) }
      return
    }
    for change in changes {
      if let device = changed[change.change.id] {
        change.complete(.success(device))
      } else {
        makeAlone(change)
      }
    }
  }

  private func makeAlone(_ waiting: Waiting) {
    lane.submit(
      PostgresRequest(statement: alone, values: Self.values(waiting.change)) { answer in
        waiting.complete(
          answer.map { $0.firstRow.map(Device.init(row:)) }.mapError(\.registryError))
      })
  }

  private static func values(_ changes: [Change]) -> [PostgresValue] {
    let values: [PostgresValue] = [
      .uuids(changes.map(\.id)), .array(of: .text, changes.map { .text($0.owner.text) }),
      .array(of: .timestamp, changes.map { .timestamp($0.time) }),
    ]
    let names = changes.compactMap(\.deviceName)
    return names.isEmpty ? values : values + [.array(of: .text, names.map { .text($0.text) })]
  }

  private static func values(_ change: Change) -> [PostgresValue] {
    let values: [PostgresValue] = [.uuid(change.id), .text(change.owner.text), .timestamp(change.time)]
    return values + (change.deviceName.map { [.text($0.text)] } ?? [])
  }
}
