import Registry
import TestSupport
import Testing

@testable import RedisReplayStore

@Suite("Redis: the epoch", .timeLimit(.minutes(1))) struct EpochTests {
  @Test
  func `The first start accepts nonces immediately, and so do later processes`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember("nonce-01", createdAfterMilliseconds: -300_000))
      }
      try await RunningRedisStore.with(server.url(), isFirstStart: false) { running async throws in
        #expect(try await running.remember("nonce-02", createdAfterMilliseconds: -300_000))
        #expect(try await running.remember("nonce-01") == false)
      }
    }
  }

  @Test
  func `An empty Redis refuses signatures that may have been used before`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url(), isFirstStart: false) { running async throws in
        await running.waitForEvent { $0 == .connected }
        #expect(secondsLeft(await running.error("nonce-01")) == 6)
        #expect(secondsLeft(await running.error("nonce-01", createdAfterMilliseconds: 5000)) == 6)
        running.clock.advance(milliseconds: 5000)
        #expect(secondsLeft(await running.error("nonce-02")) == 1)
        running.clock.advance(milliseconds: 1)
        #expect(try await running.remember("nonce-03"))
        #expect(secondsLeft(await running.error("nonce-04", createdAfterMilliseconds: -1)) == 1)
        // Of a device whose signatures may lie a minute ahead.
        #expect(secondsLeft(await running.error("nonce-05", leadMilliseconds: 60_000)) == 55)
        #expect(
          try await running.remember("nonce-06", createdAfterMilliseconds: 55_000, leadMilliseconds: 60_000))
      }
    }
  }

  @Test
  func `The next request detects that Redis was emptied, also in the process of the first start`() async throws
  {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember("nonce-01"))
        await server.flush()
        #expect(secondsLeft(await running.error("nonce-01")) == 6)
        await running.waitForEvent { $0 == .emptied }
        #expect(secondsLeft(await running.error("nonce-02")) == 6)
        running.clock.advance(milliseconds: 5001)
        #expect(try await running.remember("nonce-03"))
        #expect(try await running.remember("nonce-03") == false)
        #expect(running.eventsSoFar == [.connected, .emptied])
      }
    }
  }

  @Test
  func `The process that first detects that Redis was emptied sets the epoch for all`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { left in
        try await RunningRedisStore.with(server.url(), clock: left.clock) { right async throws in
          #expect(try await left.remember("nonce-01"))
          #expect(try await right.remember("nonce-02"))
          await server.flush()
          #expect(secondsLeft(await left.error("nonce-02")) == 6)
          await left.waitForEvent { $0 == .emptied }
          left.clock.advance(milliseconds: 2000)
          #expect(secondsLeft(await right.error("nonce-01")) == 4)
          left.clock.advance(milliseconds: 3001)
          #expect(try await right.remember("nonce-03"))
          #expect(try await left.remember("nonce-03") == false)
          #expect(right.eventsSoFar == [.connected, .emptied])
        }
      }
    }
  }

  @Test
  func `Concurrent requests report once that Redis was emptied`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember())
        await server.flush()
        await withTaskGroup(of: Int?.self) { group in
          for index in 0..<100 { group.addTask { secondsLeft(await running.error("nonce-\(index)")) } }
          for await seconds in group { #expect(seconds == 6) }
        }
        await running.waitForEvent { $0 == .emptied }
        #expect(running.eventsSoFar == [.connected, .emptied])
      }
    }
  }

  @Test
  func `A Redis that restarts from an old file refuses signatures from before`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember("nonce-01"))
        #expect(await server.run("SAVE") == "OK")
        #expect(try await running.remember("nonce-02"))
        await server.stop()
        await running.waitForEvent { $0.isLoss }
        await server.start()
        await running.waitForEvent { $0 == .connected }
        #expect(await server.run("EXISTS device-registry:nonce:\(one):nonce-01") == "1")
        #expect(secondsLeft(await running.error("nonce-02")) == 6)
        running.clock.advance(milliseconds: 5001)
        #expect(try await running.remember("nonce-01") == false)
        #expect(try await running.remember("nonce-03"))
      }
    }
  }

  @Test
  func `An invalid epoch is refused`() async throws {
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember())
        await server.run("SET \(await server.epochKey) 0")
        #expect(secondsLeft(await running.error("nonce-02")) == 2)
        await server.run("DEL \(await server.epochKey)")
        await server.run("LPUSH \(await server.epochKey) 0")
        #expect(cause(await running.error("nonce-03"))?.contains("WRONGTYPE") == true)
      }
      try await RunningRedisStore.with(server.url()) { running in
        await running.waitForEvent { $0.isRefusal }
        #expect(secondsLeft(await running.error("nonce-04")) == 2)
      }
    }
  }

  @Test(arguments: [
    "", "0", "-", "1-2-3", "-1-a", "a-b", "253402300800000-a", "99999999999999999999-a", " 1-a",
  ])
  func `An epoch consists of a time and a random part`(_ value: String) {
    #expect(RedisEpoch(value: value) == nil)
  }

  @Test
  func `An epoch is read back unchanged, and each is distinct`() throws {
    let start = Timestamp(millisecondsSince1970: 1_764_000_000_123)
    let epoch = RedisEpoch(start: start, random: TestRandom())
    #expect(RedisEpoch(value: epoch.value) == epoch)
    #expect(RedisEpoch(start: start, random: TestRandom()) != epoch)
  }
}
