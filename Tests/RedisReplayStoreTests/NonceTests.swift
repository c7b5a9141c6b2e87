import Registry
import TestSupport
import Testing

@testable import RedisReplayStore

@Suite("Redis: nonces", .timeLimit(.minutes(1))) struct NonceTests {
  @Test
  func `A nonce is accepted once for each device`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember("nonce-01"))
        #expect(try await running.remember("nonce-01") == false)
        #expect(try await running.remember("nonce-01", of: two))
        #expect(try await running.remember("nonce-02"))
        #expect(try await running.remember("nonce-01", of: two) == false)
      }
    }
  }

  @Test
  func `Of sixteen concurrent requests on two loops one is accepted`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { left in
        try await RunningRedisStore.with(server.url()) { right in
          for round in 0..<20 {
            let firsts = try await withThrowingTaskGroup(of: Bool.self) { group in
              for index in 0..<16 {
                let running = index.isMultiple(of: 2) ? left : right
                group.addTask { try await running.remember("nonce-\(round)") }
              }
              return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(firsts == 1)
          }
        }
      }
    }
  }

  @Test
  func `A nonce is kept until 10 s after its expiry, and for at least 10 s`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running in
        _ = try await running.remember("nonce-01")
        let left = try #require(Int(await server.run("PTTL device-registry:nonce:\(one):nonce-01")))
        #expect((300_001...310_000).contains(left))
        _ = try await running.remember("nonce-02", createdAfterMilliseconds: -400_000)
        let least = try #require(Int(await server.run("PTTL device-registry:nonce:\(one):nonce-02")))
        #expect((1...10_000).contains(least))
      }
    }
  }

  @Test(arguments: [
    "a\0b", "a\r\nFLUSHALL\r\n", "a b\"'*$", "\u{1F511}", "", String(repeating: "n", count: 100_000),
  ])
  func `Nonces of any bytes and length are distinguished`(_ nonce: String) async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember(nonce))
        #expect(try await running.remember(nonce + "\0"))
        #expect(try await running.remember(nonce) == false)
        #expect(await server.run("DBSIZE") == "3")
      }
    }
  }

  @Test
  func `Requests are pipelined up to the pending limit; more are refused`() async throws {
    var limits = RedisLimits()
    limits.pending = 8
    limits.commandDeadlineMilliseconds = 300
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url(), limits: limits) { running in
        await running.waitForEvent { $0 == .connected }
        await server.freeze()
        let outcomes = await withTaskGroup(of: RegistryError?.self) { group in
          for index in 0..<10 { group.addTask { await running.error("nonce-\(index)") } }
          return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        await server.thaw()
        #expect(outcomes[.overloaded(queue: "redis commands")] == 2)
        #expect(
          outcomes[.replayUnavailable(cause: "no answer within 300 ms", retryAfterSeconds: 2)] == 8)
      }
    }
  }

  @Test
  func `The database in the URL is used`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url(database: 3)) { running async throws in
        #expect(try await running.remember())
        #expect(await server.run("DBSIZE") == "0")
        #expect(await server.run("INFO keyspace").contains("db3:keys=2"))
      }
    }
  }
}
