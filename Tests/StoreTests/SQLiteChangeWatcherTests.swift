import EventLoop
import Glibc
import Registry
import Synchronization
import TestSupport
import Testing

@testable import SQLiteStore

@Suite("SQLite: the watcher reports changes by other connections", .timeLimit(.minutes(1)))
struct SQLiteChangeWatcherTests {
  /// Changes of a device's credentials. Those with a text are hand-written SQL.
  enum Change: String, CaseIterable {
    case rotation, rotationAtOnce, promotion, revocation, deletionOfClient, roomForToken
    case revokedByHand = "UPDATE devices SET revoked = 1, is_active = 0"
    case inactiveByHand = "UPDATE devices SET is_active = 0"
    case keyByHand = "UPDATE devices SET server_key = zeroblob(32)"
    case hashByHand = "UPDATE devices SET hmac_key_hash = '$argon2id$x'"
    case deletedByHand = "DELETE FROM devices"
    case clientByHand = "DELETE FROM clients"
    case tokenByHand = "DELETE FROM device_tokens"
    case tokensTimeByHand = "UPDATE device_tokens SET expires_at = 0"
  }

  @Test(arguments: Change.allCases)
  func `Changes of a device's credentials are reported`(_ change: Change) async throws {
    let file = try await TestDatabase(.sqlite)
    let now = try await file.clock()
    let (second, hash) = (verifier(), newHash())
    let (id, first) = try await file.withStore { store in
      let (id, first) = try await store.addDevice()
      _ = try await store.addToken(hash, of: id, first, at: now)
      if change == .promotion { _ = try await store.rotate(id, to: second, until: now.plus(seconds: 60)) }
      return (id, first)
    }
    try await withWatcher(on: file) { watched in
      try await file.withStore { store in
        switch change {
        case .rotation: _ = try await store.rotate(id, until: now.plus(seconds: 60))
        case .rotationAtOnce: _ = try await store.rotate(id, until: noon)
        case .promotion: _ = try await store.promoteNextSecret(of: id, hmacKeyHash: second.hmacKeyHash)
        case .revocation: _ = try await store.revokeDevice(id, of: alice, at: noon)
        case .deletionOfClient: _ = try await store.deleteClient(alice)
        case .roomForToken:
          _ = try await store.addToken(of: id, first, at: now.plus(seconds: 2), maxLive: 1, windowSeconds: 1)
          #expect(try await store.credentials(ofToken: hash, at: now) == nil)
        default: try await file.sql(change.rawValue)
        }
      }
      let expected =
        switch change {
        // Its devices' credentials end with it.
        case .deletionOfClient: Heard(clients: [alice])
        case .clientByHand: Heard(changed: [id], clients: [alice])
        default: Heard(changed: [id])
        }
      #expect(try await watched.heard() == expected)
    }
  }

  @Test
  func `Presence, names, new rows, unchanged rows, sealing and expired tokens are not reported`() async throws {
    let file = try await TestDatabase(.sqlite)
    try await withWatcher(on: file) { watched in
      try await file.withStore { store in
        let (id, secret) = try await store.addDevice()
        let longAgo = Timestamp(millisecondsSince1970: 0)
        _ = try await store.addToken(of: id, secret, at: longAgo)
        try await store.recordPresence([id: Presence(lastSeen: noon, lastPoll: noon, lastAck: noon)])
        _ = try await store.renameDevice(id, of: alice, to: DeviceName("uno"), at: noon)
        try await file.sql("UPDATE devices SET is_active = 1, revoked = 0, stored_key = stored_key")
        // Sealed again with another key, the secret is the same.
        let sealed = try await file.withStore(sealer: testSealer(2, 1)) {
          try await $0.sealDevices(after: nil, limit: 10).sealed
        }
        #expect(sealed == 1)
        #expect(try await store.removeTokens(expiredBefore: noon, limit: 10) == 1)
        let signal = try await store.send(to: id)
        // A signal is reported only if it still exists at the next check, so wait for that first.
        #expect(try await watched.heard() == Heard(arrived: [id: 1]))
        _ = try await store.acknowledge(
          [Acknowledgement(signalID: signal.id, status: .placed, brokerTicket: nil, error: nil)], by: id,
          at: noon)
        #expect(try await store.removeSignals(expiredBefore: noon.plus(seconds: 1000), limit: 10) == 2)
      }
      #expect(try await watched.heard() == Heard())
    }
  }

  @Test
  func `A new signal is reported to its devices only`() async throws {
    let file = try await TestDatabase(.sqlite)
    try await withWatcher(on: file) { watched in
      let ids = try await file.withStore { store in
        let first = try await store.addDevice().id
        let (second, third) = (try await store.add("two").id, try await store.add("three").id)
        try await store.send(to: first, second)
        try await store.send(to: second)
        return [first, second, third]
      }
      #expect(try await watched.heard() == Heard(arrived: [ids[0]: 1, ids[1]: 2]))
    }
  }

  @Test
  func `A signal is reported when its last step makes it visible, and a cleared client only once`() async throws
  {
    let file = try await TestDatabase(.sqlite)
    try await withWatcher(on: file) { watched in
      let ids = try await file.withStore { store in
        let ids = try await store.addDevices(5)
        let signal = newSignal()
        let first = try await store.beginSignal(signal, step: 2)
        #expect(try await watched.heard() == Heard())
        try await store.finishSignal(signal, after: first, step: 2)
        return ids
      }
      #expect(
        try await watched.heard() == Heard(arrived: Dictionary(uniqueKeysWithValues: ids.map { ($0, 1) })))
      try await file.withStore { store in
        _ = try await store.deleteClient(alice)
        try await store.clearDeletedClients()
      }
      #expect(try await watched.heard() == Heard(clients: [alice]))
    }
  }

  @Test
  func `All changes since the start are reported, in several reads, and none from before`()
    async throws
  {
    let file = try await TestDatabase(.sqlite)
    try await file.logChanges(700)
    try await withWatcher(on: file) { watched in
      #expect(try await watched.heard() == Heard())
      let number = 2 * SQLiteChangeWatcher.maximumChangesPerRead + 1
      try await file.logChanges(number)
      let heard = try await watched.heard()
      #expect(heard.changed.count == number && heard.missed == 0)
    }
  }

  @Test
  func `When the log overflows, changes were missed; later changes are reported`() async throws {
    let file = try await TestDatabase(.sqlite)
    try await withWatcher(on: file) { watched in
      try await file.logChanges(10_001)
      #expect(try await file.sql("SELECT count(*) FROM device_changes") == "10000")
      try await wait { watched.observer.heard.missed == 1 }
      #expect(try await watched.heard() == Heard(missed: 1))
      try await file.logChanges(1)
      #expect(try await watched.heard().changed.count == 1)
    }
  }

  @Test
  func `When the log is emptied before it is read, changes were missed`() async throws {
    let file = try await TestDatabase(.sqlite)
    try await withWatcher(on: file) { watched in
      let other = try SQLiteConnection(path: file.location, isReader: false, busyTimeoutMilliseconds: 5000)
      try other.execute(
        """
        BEGIN;
        INSERT INTO device_changes (device_id) VALUES ('x');
        DELETE FROM device_changes;
        COMMIT
        """)
      try await wait { watched.observer.heard.missed == 1 }
      #expect(try await watched.heard() == Heard(missed: 1))
    }
  }

  @Test
  func `Failed reads end the trust; when they succeed again, changes were missed, and trust is back`()
    async throws
  {
    let file = try await TestDatabase(.sqlite)
    try await file.logChanges(1)
    try await withWatcher(on: file) { watched in
      try await file.sql("ALTER TABLE device_changes RENAME TO hidden_changes")
      try await wait { watched.observer.trustedUntil < MonotonicClock.milliseconds }
      #expect(watched.observer.heard == Heard())
      try await file.sql("ALTER TABLE hidden_changes RENAME TO device_changes")
      try await wait { watched.observer.trustedUntil > MonotonicClock.milliseconds }
      #expect(try await watched.heard() == Heard(missed: 1))
    }
  }

  @Test
  func `When the file is replaced, that is reported once, and the trust ends`() async throws {
    let file = try await TestDatabase(.sqlite)
    try await withWatcher(on: file) { watched in
      #expect(rename(file.location, file.location + ".away") == 0)
      try await wait { watched.fileChanges.all == [false] }
      try await wait { watched.observer.trustedUntil < MonotonicClock.milliseconds }
      #expect(rename(file.location + ".away", file.location) == 0)
      try await wait { watched.observer.trustedUntil > MonotonicClock.milliseconds }
      #expect(watched.fileChanges.all == [false, true])
    }
  }

  @Test
  func `Trust lasts at most a second, and a closed watcher reports nothing`() async throws {
    let file = try await TestDatabase(.sqlite)
    try await withWatcher(on: file) { watched in
      let first = watched.observer.trustedUntil
      #expect(first > 0 && first <= MonotonicClock.milliseconds + 1000)
      try await wait { watched.observer.trustedUntil > first }
      await watched.watcher.close()
      try await file.logChanges(1)
      try await wait { watched.observer.trustedUntil < MonotonicClock.milliseconds }
      #expect(watched.observer.heard == Heard())
    }
  }
}

private struct Watched: Sendable {
  let file: TestDatabase
  let loop: EventLoop
  let watcher: SQLiteChangeWatcher
  let observer: RecordingObserver
  let fileChanges: FileChanges

  /// The reports of everything done since the last call. The log is ordered, so once the change that this makes
  /// is reported, all earlier ones are.
  func heard() async throws -> Heard {
    let marker = newID()
    try await file.sql("INSERT INTO device_changes (device_id) VALUES ('\(marker)')")
    try await wait { observer.heard.changed.contains(marker) }
    // The check that reported it has reported the rest once the loop runs again.
    await loop.run {}
    var heard = observer.take()
    heard.changed.remove(marker)
    return heard
  }
}

/// Whether the file was in place, at each change of that.
private final class FileChanges: Sendable {
  private let changes = Mutex<[Bool]>([])
  var all: [Bool] { changes.withLock(\.self) }
  func add(_ isInPlace: Bool) { changes.withLock { $0.append(isInPlace) } }
}

/// Calls the body with a started watcher.
private func withWatcher(on file: TestDatabase, _ body: (Watched) async throws -> Void) async throws {
  let database = try SQLiteDatabase(path: file.location)
  defer { database.close() }
  let loop = try EventLoop(name: "test")
  defer { loop.stop() }
  let observer = RecordingObserver()
  let fileChanges = FileChanges()
  let watcher = try SQLiteChangeWatcher(database: database, loop: loop, observer: observer) {
    fileChanges.add($0)
  }
  await loop.run { watcher.start() }
  let result: Result<Void, any Error>
  do {
    result = .success(
      try await body(
        Watched(
          file: file, loop: loop, watcher: watcher, observer: observer, fileChanges: fileChanges)))
  } catch {
    result = .failure(error)
  }
  await watcher.close()
  try result.get()
}

extension TestDatabase {
  /// SQLite's current time.
  fileprivate func clock() async throws -> Timestamp {
    let text = try await sql("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")
    return Timestamp(millisecondsSince1970: Int64(text!)!)
  }

  /// Logs `number` changes, each of another device.
  fileprivate func logChanges(_ number: Int) async throws {
    try await sql(
      """
      WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < \(number))
      INSERT INTO device_changes (device_id) SELECT printf('00000000-0000-7000-8000-%012d', i) FROM numbers
      """)
  }
}
