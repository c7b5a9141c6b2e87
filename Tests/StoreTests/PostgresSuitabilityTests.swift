import Migrations
import Registry
import TestSupport
import Testing

@testable import PostgresStore

@Suite("PostgreSQL: databases and poolers that do not suit are refused at the start", .timeLimit(.minutes(1)))
struct PostgresSuitabilityTests {
  /// Migrates, and returns the reason why the database was refused.
  private func refusal(_ url: String) async throws -> String? {
    do {
      _ = try await onOwnThread { try PostgresMigrator.migrate(url: url) }
      return nil
    } catch let error as MigrationError {
      guard case .unsuitable = error else { throw error }
      return error.description
    }
  }

  @Test(arguments: [PgBouncer.Mode.transaction, .statement])
  func `PgBouncer in a mode without sessions is refused, and nothing is locked or created`(
    _ mode: PgBouncer.Mode
  ) async throws {
    let database = try await TestDatabase(.postgres, isMigrated: false)
    try await PgBouncer.with(mode, for: .shared) { pooler in
      let url = pooler.url(of: try #require(try await database.sql("SELECT current_database()")))
      #expect(try await refusal(url)?.contains("use session mode or connect directly") == true)
      // A pooled session would keep the lock.
      #expect(try await database.migrate() == database.kind.migrations.map(\.label))
      #expect(try await refusal(url) != nil)
    }
  }

  @Test
  func `PgBouncer in session mode is transparent`() async throws {
    let database = try await TestDatabase(.postgres, isMigrated: false)
    try await PgBouncer.with(.session, for: .shared) { pooler in
      let url = pooler.url(of: try #require(try await database.sql("SELECT current_database()")))
      #expect(try await refusal(url) == nil)
      try await RunningListener.with(url, lock: .exclusive) { listening in
        try await RunningPostgresStore.with(url) { running in
          await running.waitUntilConnected()
          let ids = try await running.onLoop { try await $0.addDevices(2) }
          _ = try await running.onLoop { try await $0.send(to: ids[0]) }
          _ = try await running.onLoop { try await $0.revokeDevice(ids[1], of: alice, at: noon) }
          #expect(try await listening.heard() == Heard(changed: [ids[1]], arrived: [ids[0]: 1]))
        }
        #expect(listening.locks == [true])
      }
    }
  }

  @Test(arguments: ["SQL_ASCII", "LATIN1"])
  func `A database with another encoding than UTF8 is refused`(_ encoding: String) async throws {
    let database = try await TestDatabase(.postgres, isMigrated: false)
    let name = try #require(try await database.sql("SELECT current_database()"))
    try await database.sql("CREATE DATABASE \(name)_other ENCODING '\(encoding)' TEMPLATE template0")
    #expect(
      try await refusal(database.location.replacing("/\(name)?", with: "/\(name)_other?"))
        == "the database's encoding is \(encoding); create it again with ENCODING 'UTF8'")
  }
}
