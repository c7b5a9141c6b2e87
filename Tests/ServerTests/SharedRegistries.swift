import Testing

/// One service on each database, which all the tests of a suite share: each uses its own clients.
struct SharedRegistries: SuiteTrait, TestScoping {
  @TaskLocal static var current: [DatabaseKind: TestRegistry] = [:]

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { sqlite in
      try await TestRegistry.with(await TestDatabase(.postgres)) { postgres in
        try await Self.$current.withValue([.sqlite: sqlite, .postgres: postgres]) { try await function() }
      }
    }
  }
}

/// The service end to end, over sockets, on both databases. A list of what it does.
@Suite(SharedRegistries()) struct DeviceRegistry {
  static func registry(_ kind: DatabaseKind) throws -> TestRegistry {
    try #require(SharedRegistries.current[kind])
  }
}

/// The service that the tests of the suite share.
func registry(_ kind: DatabaseKind) throws -> TestRegistry { try DeviceRegistry.registry(kind) }
