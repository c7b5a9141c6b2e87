import EventLoop
import Foundation
import Glibc
import Migrations
import Registry
import TestSupport
import Testing

@testable import SQLiteStore

@Suite("SQLite: the file", .timeLimit(.minutes(1))) struct SQLiteFileTests {
  @Test
  func `A reopened file has the stored data`() async throws {
    let database = try await TestDatabase(.sqlite)
    let one = try await database.withStore { store in
      try await store.insertClient(client("alice"))
      return try await store.add("one")
    }
    try await database.withStore { store in
      let found = (try await store.client(alice), try await store.device(one.id))
      #expect(found.0?.id == alice && found.0?.deviceCount == 1 && found.1 == one)
    }
  }

  @Test
  func `A write by another connection is visible immediately, in both directions`() async throws {
    let database = try await TestDatabase(.sqlite)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      let one = try await store.add("one")
      #expect(try await database.sql("SELECT device_name FROM devices") == "one")
      try await database.sql("UPDATE devices SET device_name = 'uno'")
      #expect(try await store.device(one.id)?.deviceName.text == "uno")
      try await database.sql("DELETE FROM devices")
      #expect(try await store.device(one.id) == nil)
    }
  }

  @Test
  func `Only the owner can access the files and the folders created for them`() async throws {
    let directory = TemporaryDirectory()
    let path = "\(directory.path)/a/b/registry.db"
    _ = try SQLiteMigrator.migrate(path: path)
    let database = try SQLiteDatabase(path: path)
    try await database.write { (writer) throws(RegistryError) in
      _ = try writer.run(SQLiteStatement("INSERT INTO clients (id, created_at) VALUES ('alice', 0)"))
    }
    for file in [path, path + "-wal", path + "-shm"] { #expect(mode(of: file) == 0o600, "\(file)") }
    for folder in ["a", "a/b"] { #expect(mode(of: "\(directory.path)/\(folder)") == 0o700) }
    database.close()
  }

  @Test
  func `A path in the working folder creates no folder`() throws {
    let name = "test-\(newID()).db"
    defer { unlink(name) }
    try SQLiteFile.create(name)
    #expect(mode(of: name) == 0o600)
    // Creating the file again does not change it.
    try SQLiteFile.create(name)
  }

  @Test
  func `The error for a file that cannot be created has its path and the reason`() {
    let error = #expect(throws: SQLiteFileError.self) { try SQLiteDatabase(path: "/dev/null/registry.db") }
    #expect(error == SQLiteFileError(path: "/dev/null/registry.db", errorNumber: ENOTDIR))
    #expect(error?.description == "cannot create /dev/null/registry.db: Not a directory")
    #expect(throws: SQLiteFileError(path: "/proc/none", errorNumber: ENOENT)) {
      try SQLiteMigrator.migrate(path: "/proc/none/registry.db")
    }
  }

  @Test
  func `Files that others could read or write are made private`() throws {
    let directory = TemporaryDirectory()
    let path = "\(directory.path)/registry.db"
    _ = try SQLiteMigrator.migrate(path: path)
    let database = try SQLiteDatabase(path: path)
    defer { database.close() }
    for (file, bits) in [(path, 0o644), (path + "-wal", 0o620), (path + "-shm", 0o606)] as [(String, mode_t)] {
      #expect(chmod(file, bits) == 0)
      var exposed: [String] = []
      #expect(try SQLiteMigrator.migrate(path: path) { exposed.append($0) } == [])
      #expect(exposed == [file] && mode(of: file) == 0o600)
    }
  }

  @Test
  func
    `A migration waits a limited time for another process and names the file; without one, no lock is needed`()
    async throws
  {
    let database = try await TestDatabase(.sqlite, isMigrated: false)
    let (path, first) = (database.location, [SQLiteMigrator.migrations[0]])
    try await database.migrate(first)
    let other = try SQLiteConnection(path: path, isReader: false, busyTimeoutMilliseconds: 0)
    try other.execute("BEGIN IMMEDIATE")
    let error = #expect(throws: MigrationError.self) {
      try SQLiteMigrator.migrate(path: path, migrations: SQLiteMigrator.migrations, busyTimeoutMilliseconds: 50)
    }
    #expect(error?.description.contains("another process holds a lock on \(path)") == true)
    #expect(try SQLiteMigrator.migrate(path: path, migrations: first, busyTimeoutMilliseconds: 0) == [])
    try other.execute("COMMIT")
    #expect(try SQLiteMigrator.migrate(path: path).count == SQLiteMigrator.migrations.count - 1)
  }

  @Test
  func `A file that was removed is noticed: reads and writes are refused until it is back`() async throws {
    try await withRunningStore { running in
      #expect(running.database.lookAtFile())
      #expect(rename(running.path, running.path + ".away") == 0)
      #expect(!running.database.lookAtFile())
      for body in [
        { try await $0.ping() }, { try await $0.insertClient(client("bob")) },
      ] as [@Sendable (any RegistryStore) async throws -> Void] {
        #expect(isUnavailable(await running.error(body)))
      }
      _ = try await onOwnThread { try SQLiteMigrator.migrate(path: running.path) }
      #expect(!running.database.lookAtFile())
      #expect(rename(running.path + ".away", running.path) == 0)
      #expect(running.database.lookAtFile())
      #expect(await running.error { try await $0.insertClient(client("bob")) } == nil)
    }
  }

  @Test
  func `A new file becomes smaller when rows are cleared, step by step`() async throws {
    try await withRunningStore { running in
      @Sendable func pages() async throws -> Int {
        try await running.database.write { (writer) throws(RegistryError) in
          try writer.firstRow(of: SQLiteStatement("PRAGMA page_count") { Int($0.integer()) }) ?? 0
        }
      }
      // A payload of 16 KiB takes four pages.
      let payload = "\"" + String(repeating: "x", count: 16_000) + "\""
      let number = SQLiteConnection.keptPages / 4 + SQLiteConnection.pagesPerStep
      try await running.run { store in
        for _ in 0..<number {
          _ = try await store.insertSignal(newSignal(payload: payload), to: .all, maxLive: number)
        }
      }
      let full = try await pages()
      let end = noon.plus(seconds: 3600)
      #expect(try await running.run { try await $0.removeSignals(expiredBefore: end, limit: number) } == number)
      #expect(try await pages() == full - SQLiteConnection.pagesPerStep)
      // Each step removes as many, as long as many are unused.
      for _ in 0..<10 { #expect(try await running.run { try await $0.removeSignals(limit: 1) } == 0) }
      let (most, step) = (SQLiteConnection.keptPages, SQLiteConnection.pagesPerStep)
      #expect((most - step...most + step).contains(try await pages()))
    }
  }

  @Test
  func `A folder at the file's path is unavailable`() throws {
    let directory = TemporaryDirectory()
    #expect(throws: MigrationFailed.self) { try migrationFailure(at: directory.path) }
    let error = #expect(throws: RegistryError.self) { try SQLiteDatabase(path: directory.path) }
    #expect(isUnavailable(error))
  }

  @Test
  func `A file that is not a database is a fault, and is not changed`() throws {
    let directory = TemporaryDirectory()
    let path = "\(directory.path)/registry.db"
    let text = String(repeating: "this is a text\n", count: 100)
    let file = fopen(path, "w")
    fputs(text, file)
    fclose(file)
    #expect(throws: MigrationFailed.self) { try migrationFailure(at: path) }
    let error = #expect(throws: RegistryError.self) { try SQLiteDatabase(path: path) }
    guard case .fault(let cause)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(cause == "SQLite 26 file is not a database")
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_size == text.utf8.count)
  }

  private struct MigrationFailed: Error {}

  private func migrationFailure(at path: String) throws {
    do { _ = try SQLiteMigrator.migrate(path: path) } catch { throw MigrationFailed() }
  }

  private func mode(of path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
  }
}

@Suite("SQLite: reads of one pass of the loop", .timeLimit(.minutes(1))) struct SQLiteReadTests {
  @Test
  func `They see one state of the database, with everything committed before the last of them was called`()
    async throws
  {
    try await withRunningStore { running in
      // Used only on the loop.
      nonisolated(unsafe) let other = try SQLiteConnection(
        path: running.path, isReader: false, busyTimeoutMilliseconds: 0)
      let found = try await running.run { store in
        async let first = store.client(bob)
        async let second = {
          try other.execute("INSERT INTO clients (id, created_at) VALUES ('bob', 0)")
          return try await store.client(bob)
        }()
        return try await [first, second]
      }
      #expect(found.count == 2 && found.allSatisfy { $0?.id == bob })
    }
  }

  @Test
  func `An error affects one read only, and a checkpoint can truncate the WAL afterwards`() async throws {
    try await withRunningStore { running in
      try await running.execute("UPDATE clients SET email = 'alice@example.com'")
      try await running.run { store in
        async let first = store.client(alice)
        async let broken = Self.error {
          _ = try await running.store.rows(of: SQLiteStatement("SELECT nothing"))
        }
        async let last = store.client(alice)
        #expect(await broken != nil)
        let found = try await [first, last]
        #expect(found.allSatisfy { $0?.email?.text == "alice@example.com" })
      }
      let isHeld = try await running.database.write { (writer) throws(RegistryError) in
        try writer.rows(of: SQLiteStatement("PRAGMA wal_checkpoint(TRUNCATE)") { $0.bool() }, [])[0]
      }
      #expect(!isHeld)
    }
  }

  @Test
  func `One that takes long is ended, and the others are not affected`() async throws {
    try await withRunningStore { running in
      try await running.run { store in
        async let first = store.client(alice)
        async let endless = Self.error {
          _ = try await running.store.rows(
            of: SQLiteStatement(
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 1 FROM n WHERE i < 0"))
        }
        async let last = store.client(alice)
        #expect(await endless == .unavailable(cause: "a read took longer than 100 ms"))
        let found = try await [first, last]
        #expect(found == [client("alice"), client("alice")])
      }
    }
  }

  @Test
  func `They fail if the store is closed meanwhile`() async throws {
    try await withRunningStore { running in
      await running.loop.run {
        async let first = Self.error { _ = try await running.store.client(alice) }
        async let closed: Void = running.store.close()
        async let last = Self.error { _ = try await running.store.client(alice) }
        await closed
        for error in await [first, last] { #expect(error == .unavailable(cause: "the store was closed")) }
      }
    }
  }

  private static func error(_ body: () async throws -> Void) async -> RegistryError? {
    do { try await body() } catch { return error as? RegistryError }
    return nil
  }
}

@Suite("SQLite: queued writes", .timeLimit(.minutes(1))) struct SQLiteSharedCommitTests {
  @Test
  func `They share a commit, also with one that is refused before it changed anything`() async throws {
    try await withRunningStore { running in
      let before = commits(of: running.path)
      let outcomes = try await running.outcomes(12) { store, number in
        try await store.insertClient(client(number == 5 ? "alice" : "c\(number)"))
      }
      #expect(outcomes == [nil: 11, .clientIDTaken: 1])
      #expect(try await running.run { try await $0.clients(after: nil, limit: 100).count } == 12)
      #expect(commits(of: running.path) == before + 1)
    }
  }

  @Test
  func `An error after a change undoes only its own write, and the others are made again`() async throws {
    try await withRunningStore { running in
      let outcomes = try await running.outcomes(12) { store, number in
        switch number {
        case 5: try await store.insertClient(client("alice"))
        case 8:
          try await running.database.write { (writer) throws(RegistryError) in
            try writer.transaction { () throws(RegistryError) in
              try writer.run(SQLiteStatement("DELETE FROM clients"))
              throw .deviceNotFound
            }
          }
        default: try await store.insertClient(client("c\(number)"))
        }
      }
      #expect(outcomes == [nil: 10, .clientIDTaken: 1, .deviceNotFound: 1])
      #expect(try await running.run { try await $0.clients(after: nil, limit: 100).count } == 11)
    }
  }

  @Test
  func `On a full disk exactly the writes that are stored succeed`()
    async throws
  {
    try await withRunningStore { running in
      try await running.leaveNoRoom()
      let id = String(repeating: "c", count: 60)
      let outcomes = try await running.outcomes(200) { store, number in
        try await store.insertClient(client("\(id)\(number)"))
      }
      let stored = try await running.run { try await $0.clients(after: nil, limit: 1000).count } - 1
      #expect(stored < 200)
      #expect(outcomes[nil, default: 0] == stored)
      #expect(outcomes.keys.allSatisfy { $0 == nil || isUnavailable($0) })
    }
  }

  /// Commits in the write-ahead log: frames that say how long the database is then
  /// (https://sqlite.org/fileformat.html).
  private func commits(of path: String) -> Int {
    let log = FileManager.default.contents(atPath: path + "-wal").map { [UInt8]($0) } ?? []
    let (header, frameHeader, page) = (32, 24, 4096)
    return stride(from: header, to: log.count, by: frameHeader + page).count {
      log[$0 + 4..<$0 + 8].contains { $0 != 0 }
    }
  }
}

@Suite("SQLite: failing writes", .timeLimit(.minutes(1))) struct SQLiteFailureTests {
  @Test
  func `A write waits a bounded time for another process, and reads continue`() async throws {
    try await withRunningStore(busyTimeoutMilliseconds: 200) { running in
      let other = try SQLiteConnection(path: running.path, isReader: false, busyTimeoutMilliseconds: 0)
      try other.execute("BEGIN IMMEDIATE; INSERT INTO clients (id, created_at) VALUES ('bob', 0)")
      let elapsed = await elapsedMilliseconds {
        #expect(isUnavailable(await running.error { try await $0.insertClient(client("carol")) }))
      }
      #expect((200..<stretched(10_000)).contains(elapsed))
      #expect(await running.error { try await $0.ping() } == nil)
      #expect(try await running.run { try await $0.client(bob) } == nil)
      try other.execute("COMMIT")
      #expect(await running.error { try await $0.insertClient(client("carol")) } == nil)
      #expect(try await running.run { try await $0.client(bob) } != nil)
    }
  }

  @Test
  func `On a full disk writes are unavailable until there is room, and reads continue`() async throws {
    try await withRunningStore { running in
      try await running.leaveNoRoom()
      var error: RegistryError?
      var number = 0
      while error == nil, number < 10_000 {
        number += 1
        let name = "device \(number)"
        error = await running.error { try await $0.add(name, maxDevices: 10_000) }
      }
      #expect(error == .unavailable(cause: "SQLite 13 database or disk is full"))
      let stored = try await running.run { try await $0.devices(of: alice, after: nil, limit: 10_000) }
      #expect(stored.count == number - 1)
      try await running.execute("PRAGMA max_page_count = 1000000")
      let name = "device \(number)"
      #expect(await running.error { try await $0.add(name, maxDevices: 10_000) } == nil)
    }
  }

  @Test
  func `Writes to a read-only database are unavailable, and reads continue`() async throws {
    try await withRunningStore { running in
      try await running.execute("PRAGMA query_only = ON")
      let error = await running.error { try await $0.add("one") }
      #expect(error == .unavailable(cause: "SQLite 8 attempt to write a readonly database"))
      #expect(try await running.run { try await $0.client(alice) } == client("alice"))
      try await running.execute("PRAGMA query_only = OFF")
      #expect(await running.error { try await $0.add("one") } == nil)
    }
  }

  @Test
  func `Only writes beyond the length of the queue are refused`() async throws {
    try await withRunningStore { running in
      let gate = Gate()
      let held = Task { await running.hold(gate) }
      try await gate.waitUntilReached()
      let outcomes = Task {
        try await running.run { store in
          await withTaskGroup(of: RegistryError?.self) { group in
            for index in 0..<(SQLiteDatabase.maximumWaiting + 5) {
              group.addTask {
                do { try await store.insertClient(client("c\(index)")) } catch {
                  return error as? RegistryError
                }
                return nil
              }
            }
            // The refused writes end first: the writer is blocked.
            for _ in 0..<5 {
              let error = await group.next()!
              #expect(error == .overloaded(queue: "sqlite writer"))
            }
            gate.open()
            return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
          }
        }
      }
      let accepted = try await outcomes.value
      #expect(accepted == [nil: SQLiteDatabase.maximumWaiting])
      await held.value
    }
  }

  @Test
  func `A write that waited too long is refused when its time is over, and not executed`() async throws {
    try await withRunningStore(maximumWaitMilliseconds: 20) { running in
      let gate = Gate()
      let held = Task { await running.hold(gate) }
      try await gate.waitUntilReached()
      // The writer is still blocked when the answer comes.
      let late = await running.error { try await $0.insertClient(client("late")) }
      #expect(late == .overloaded(queue: "sqlite writer"))
      #expect(running.database.waitingWrites == 0)
      gate.open()
      await held.value
      let stored = try await running.run { try await $0.client(ClientID("late")!) }
      #expect(stored == nil)
    }
  }

  @Test
  func `A closed store refuses reads, and a closed database refuses writes`() async throws {
    try await withRunningStore { running in
      await running.store.close()
      #expect(await running.error { try await $0.ping() } == .unavailable(cause: "the store was closed"))
      running.database.close()
      #expect(await running.error { try await $0.insertClient(client("bob")) } != nil)
    }
  }
}
