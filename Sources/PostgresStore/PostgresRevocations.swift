internal import EventLoop
public import Registry

/// Revocations that wait: those that come while a statement of them is under way go together in the next.
///
/// A revocation tells other processes of itself (NOTIFY), and PostgreSQL lets a transaction that does so commit only
/// when the one before is on disk (PreCommit_Notify in its async.c). One by one they would queue up for the disk,
/// whatever the connection; together they wait for it once. Used on one loop.
struct PostgresRevocations {
  struct Waiting {
    let id: DeviceID
    let owner: ClientID
    let time: Timestamp
    /// Called on the loop, with the device if this is what revoked it.
    let complete: (Result<Device?, RegistryError>) -> Void
  }

  /// Revocations that wait for the next statement. More are refused.
  static let maximumWaiting = 1024
  /// Revocations of one statement.
  static let maximumPerStatement = 256

  private var waiting = Queue<Waiting>()
  private var isUnderWay = false

  /// Answers whether the caller is to begin with the statements: none is under way.
  mutating func append(_ revocation: Waiting) -> Bool {
    guard waiting.count < Self.maximumWaiting else {
      revocation.complete(.failure(.overloaded(queue: "postgres revocations")))
      return false
    }
    waiting.append(revocation)
    defer { isUnderWay = true }
    return !isUnderWay
  }

  /// Those of the next statement; none when nothing waits, and then nothing is under way.
  mutating func takeNext() -> [Waiting] {
    var next: [Waiting] = []
    while next.count < Self.maximumPerStatement, let revocation = waiting.removeFirst() {
      next.append(revocation)
    }
    isUnderWay = !next.isEmpty
    return next
  }
}

extension PostgresStore {
  public func revokeDevice(
    _ id: DeviceID, of owner: ClientID, at time: Timestamp
  ) async throws(RegistryError) -> Device? {
    loop.assertCurrent()
    let result: Result<Device?, RegistryError> = await withUnsafeContinuation { continuation in
      let isFirst = revocations.append(
        .init(id: id, owner: owner, time: time) { continuation.resume(returning: $0) })
      if isFirst { loop.startTask { await self.revokeWaiting() } }
    }
    return try result.get()
  }

  private func revokeWaiting() async {
    var batch = revocations.takeNext()
    while !batch.isEmpty {
      do throws(RegistryError) {
        var revoked = try await revoke(batch)
        for revocation in batch {
          // Of two that revoke the same device, the first did it.
          let isTheirs = revoked[revocation.id]?.clientID == revocation.owner
          revocation.complete(.success(isTheirs ? revoked.removeValue(forKey: revocation.id) : nil))
        }
      } catch {
        for revocation in batch { revocation.complete(.failure(error)) }
      }
      batch = revocations.takeNext()
    }
  }

  /// The devices that it revoked.
  private func revoke(_ batch: [PostgresRevocations.Waiting]) async throws(RegistryError) -> [DeviceID: Device]
  {
    let values: [PostgresValue] = [
      .uuids(batch.map(\.id)), .array(of: .text, batch.map { .text($0.owner.text) }),
      .array(of: .timestamp, batch.map { .timestamp($0.time) }),
    ]
    let devices = try await run(.revokeDevices, values) { $0.map(Device.init(row:)) }
    return Dictionary(uniqueKeysWithValues: devices.map { ($0.id, $0) })
  }
}
