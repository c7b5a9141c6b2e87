import EventLoop
import Registry
import Testing

@testable import PostgresStore
@testable import SQLiteStore

/// Two stores on one database, each on a separate loop, as in a process with two cores.
@Suite("Every store: two concurrent loops", .timeLimit(.minutes(1))) struct SeveralLoopsTests {
  @Test(arguments: StoreKind.allCases)
  func `Of twelve registrations of one name one succeeds`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let outcomes = try await race(database) { store, _ in try await store.add("same") }
    #expect(outcomes == [nil: 1, .deviceNameTaken: 11])
  }

  @Test(arguments: StoreKind.allCases)
  func `Of twelve registrations five succeed where the limit is five`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let outcomes = try await race(database) { try await $0.add("device \($1)", maxDevices: 5) }
    #expect(outcomes == [nil: 5, .tooManyDevices(limit: 5): 7])
    #expect(try await database.sql("SELECT device_count FROM clients") == "5")
  }

  /// Six calls on each of two loops.
  private func race(
    _ database: TestDatabase,
    _ body: @escaping @Sendable (any RegistryStore, Int) async throws -> Void
  ) async throws -> [RegistryError?: Int] {
    try await database.withStore { try await $0.insertClient(client("alice")) }
    return try await withThrowingTaskGroup(of: [RegistryError?: Int].self) { group in
      for first in [0, 6] {
        group.addTask {
          try await database.withStore { store in
            await store.outcomes(6) { try await body(store, first + $0) }
          }
        }
      }
      return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }
  }
}
