import Registry
import TestSupport
import Testing

@testable import RedisReplayStore

@Suite("Redis: the server stops or hangs", .timeLimit(.minutes(1))) struct FailureTests {
  @Test
  func `Requests fail within the deadline while the server is stopped, and then work with a new epoch`()
    async throws
  {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember("nonce-01"))
        await server.stop()
        await running.waitForEvent { $0.isLoss }
        let elapsed = await elapsedMilliseconds {
          for _ in 0..<3 { #expect(secondsLeft(await running.error("nonce-02")) == 2) }
        }
        #expect(elapsed < stretched(10_000))
        await running.waitForEvent { $0.isRefusal }
        await server.start()
        await running.waitForEvent { $0 == .connected }
        #expect(running.eventsSoFar.contains(.emptied))
        #expect(secondsLeft(await running.error("nonce-01")) == 6)
        running.clock.advance(milliseconds: 5001)
        #expect(try await running.remember("nonce-03"))
      }
    }
  }

  @Test
  func `Requests to a hanging server meet the deadline, and the store reconnects`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        await running.waitForEvent { $0 == .connected }
        await server.freeze()
        let elapsed = await elapsedMilliseconds {
          #expect(cause(await running.error("nonce-01")) == "no answer within 1000 ms")
          #expect(secondsLeft(await running.error("nonce-02")) == 2)
        }
        #expect((1000..<stretched(10_000)).contains(elapsed))
        await server.thaw()
        await running.waitForEvent { $0 == .connected }
        #expect(try await running.remember("nonce-03"))
        #expect(running.eventsSoFar.contains(.emptied) == false)
      }
    }
  }

  @Test
  func `A store closes immediately while it waits for a hanging server`() async throws {
    var limits = RedisLimits()
    limits.commandDeadlineMilliseconds = 60_000
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url(), limits: limits) { running in
        await running.waitForEvent { $0 == .connected }
        await server.freeze()
        let elapsed = try await elapsedMilliseconds {
          async let pending = running.error("nonce-01")
          // Runs on the loop after the request, which is then pending.
          try await running.waitUntilPending()
          await running.store.close()
          #expect(cause(await pending) == "the store was closed")
          #expect(cause(await running.error("nonce-02")) == "the store was closed")
        }
        #expect(elapsed < stretched(15_000))
      }
    }
  }

  @Test(arguments: [1, 3])
  func `A limited number of requests waits for the first connection for a limited time`(_ count: Int)
    async throws
  {
    var limits = RedisLimits()
    limits.waiting = 3
    limits.waitMilliseconds = 200
    limits.commandDeadlineMilliseconds = 60_000
    try await RedisServer.with { server in
      await server.freeze()
      try await RunningRedisStore.with(server.url(), limits: limits) { running in
        let outcomes = await withTaskGroup(of: RegistryError?.self) { group in
          for index in 0..<(count + 2) { group.addTask { await running.error("nonce-\(index)") } }
          return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        let refused = max(0, count + 2 - 3)
        #expect(outcomes[.overloaded(queue: "redis connection"), default: 0] == refused)
        #expect(
          outcomes[.replayUnavailable(cause: "no connection to Redis", retryAfterSeconds: 2)] == count + 2
            - refused)
      }
    }
  }

  @Test(arguments: ["redis://127.0.0.1:1/0", "redis://[::1]:1/0", "redis://name.invalid:6379/0"])
  func `Requests fail within the deadline when the server is unreachable`(_ url: String) async throws {
    try await RunningRedisStore.with(url) { running in
      let elapsed = await elapsedMilliseconds {
        for _ in 0..<3 { #expect(secondsLeft(await running.error()) == 2) }
      }
      #expect(elapsed < stretched(10_000))
      await running.waitForEvent { $0.isRefusal }
      await running.waitForEvent { $0.isRefusal }
    }
  }

  @Test
  func `A host's name is looked up, and each of its addresses is tried`() async throws {
    try await RedisServer.with { server in
      // The server listens only on 127.0.0.1, and ::1 may be tried first.
      try await RunningRedisStore.with("redis://localhost:\(server.port)") { running async throws in
        #expect(try await running.remember())
        #expect(running.eventsSoFar == [.connected])
      }
    }
  }

  @Test
  func `A server that became a replica accepts no nonce until it is the master again`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember("nonce-01"))
        await server.run("REPLICAOF 127.0.0.1 1")
        #expect(cause(await running.error("nonce-02"))?.contains("READONLY") == true)
        await running.waitForEvent { $0.isLoss }
        await running.waitForEvent {
          $0 == .connectFailed(cause: "this Redis is a replica, which takes no writes")
        }
        #expect(secondsLeft(await running.error("nonce-02")) == 2)
        await server.run("REPLICAOF NO ONE")
        await running.waitForEvent { $0 == .connected }
        #expect(try await running.remember("nonce-01") == false)
        #expect(try await running.remember("nonce-03"))
      }
    }
  }

  @Test
  func `With full memory no nonce is accepted until there is room`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        await running.waitForEvent { $0 == .connected }
        await server.run("CONFIG SET maxmemory 1")
        #expect(cause(await running.error("nonce-01"))?.contains("OOM") == true)
        await server.run("CONFIG SET maxmemory 0")
        #expect(try await running.remember("nonce-01"))
        #expect(running.eventsSoFar == [.connected])
      }
    }
  }

  @Test
  func `The store reconnects each time its connection is lost`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        for round in 0..<5 {
          await running.waitForEvent { $0 == .connected }
          #expect(try await running.remember("nonce-\(round)"))
          await server.run("CLIENT KILL TYPE normal SKIPME yes")
          await running.waitForEvent { $0.isLoss }
        }
        #expect(running.eventsSoFar.contains(.emptied) == false)
      }
    }
  }
}
