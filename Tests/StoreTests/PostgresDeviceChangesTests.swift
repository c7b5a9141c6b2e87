import Registry
import TestSupport
import Testing

@testable import PostgresStore

@Suite("PostgreSQL: changes of devices are batched", .timeLimit(.minutes(1))) struct PostgresDeviceChangesTests
{
  enum Kind: CaseIterable {
    case rename, revocation

    func make(_ id: DeviceID, in store: PostgresStore) async throws {
      let changed =
        switch self {
        case .rename: try await store.renameDevice(id, of: alice, to: DeviceName("new \(id)"), at: noon)
        case .revocation: try await store.revokeDevice(id, of: alice, at: noon)
        }
      #expect(changed?.id == id)
    }
  }

  /// Calls the body with a store, some of alice's devices, and a separate session.
  private func withDevices(
    _ count: Int, options: String = "",
    _ body: (RunningPostgresStore, [DeviceID], SQLSession) async throws -> Void
  ) async throws {
    let database = try await TestDatabase(.postgres)
    try await RunningPostgresStore.with(database.location + options) { running in
      await running.waitUntilConnected()
      let ids = try await running.onLoop { try await $0.addDevices(count) }
      try await body(running, ids, SQLSession(database.location))
    }
  }

  @Test(arguments: Kind.allCases)
  func `Changes of one pass of the loop share a transaction`(_ kind: Kind) async throws {
    try await withDevices(40) { running, ids, session in
      let outcomes = try await running.onLoop { store in
        await store.outcomes(40) { try await kind.make(ids[$0], in: store) }
      }
      #expect(outcomes == [nil: 40])
      // The id of the transaction that wrote the row.
      #expect(try await session.run("SELECT count(DISTINCT xmin::text) FROM devices") == ["1"])
    }
  }

  @Test(arguments: Kind.allCases)
  func `A device that another transaction has locked does not block other devices`(_ kind: Kind) async throws {
    // If the batch waited for the lock, it would time out, and the other changes would be made before the test
    // noticed.
    try await withDevices(20, options: "&options=-c%20statement_timeout%3D1min") { running, ids, session in
      try await session.run("BEGIN; SELECT 1 FROM devices WHERE id = '\(ids[7])' FOR UPDATE")
      async let held: Void = running.onLoop { try await kind.make(ids[7], in: $0) }
      try await session.waitForBlockedStatements()
      let outcomes = try await running.onLoop { store in
        await store.outcomes(20) {
          if $0 != 7 { try await kind.make(ids[$0], in: store) }
        }
      }
      #expect(outcomes == [nil: 20])
      try await session.waitForBlockedStatements()
      try await session.run("COMMIT")
      try await held
    }
  }

  @Test(arguments: [true, false])
  func `A rename waits for a transaction that takes or releases the name`(_ isTaken: Bool) async throws {
    try await withDevices(3) { running, ids, session in
      try await session.run("BEGIN; UPDATE devices SET device_name = 'uno' WHERE id = '\(ids[2])'")
      async let outcomes = running.onLoop { store in
        await store.outcomes(2) {
          _ = try await store.renameDevice(ids[$0], of: alice, to: DeviceName(["uno", "due"][$0]), at: noon)
        }
      }
      try await session.waitForBlockedStatements()
      try await session.run(isTaken ? "COMMIT" : "ROLLBACK")
      #expect(try await outcomes == (isTaken ? [nil: 1, .deviceNameTaken: 1] : [nil: 2]))
    }
  }

  @Test
  func `A deadlock with another transaction fails only the rename in it`() async throws {
    // The statement checks for a deadlock after two seconds, the session after ten.
    try await withDevices(3, options: "&options=-c%20deadlock_timeout%3D2s") { running, ids, session in
      try await session.run("SET deadlock_timeout = '10s'")
      try await session.run("BEGIN; UPDATE devices SET device_name = 'uno' WHERE id = '\(ids[2])'")
      async let outcomes = running.onLoop { store in
        await store.outcomes(2) {
          _ = try await store.renameDevice(ids[$0], of: alice, to: DeviceName(["uno", "due"][$0]), at: noon)
        }
      }
      try await session.waitForBlockedStatements()
      try await session.run("UPDATE devices SET is_active = is_active WHERE id = '\(ids[1])'; COMMIT")
      #expect(try await outcomes == [nil: 1, .deviceNameTaken: 1])
    }
  }
}
