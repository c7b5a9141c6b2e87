import Registry
import TestSupport
import Testing

@testable import RedisReplayStore

@Suite("Redis: authentication and server checks", .timeLimit(.minutes(1))) struct AccessTests {
  private static let password = "p%40ss:w%2Frd"
  private static let decoded = "p@ss:w/rd"

  @Test
  func `The default user's password is sent`() async throws {
    try await RedisServer.with(password: Self.decoded) { server in
      try await RunningRedisStore.with(server.url(":\(Self.password)@")) { running async throws in
        #expect(try await running.remember())
        #expect(running.eventsSoFar == [.connected])
      }
    }
  }

  @Test
  func `A user's name and password are sent`() async throws {
    try await RedisServer.with { server in
      #expect(await server.run("ACL SETUSER registry on >\(Self.decoded) ~device-registry:* +@all") == "OK")
      try await RunningRedisStore.with(server.url("registry:\(Self.password)@")) { running async throws in
        #expect(try await running.remember())
      }
    }
  }

  @Test(arguments: ["", "right", "other"])
  func `With a wrong, missing or unexpected password no nonce is accepted, and no event contains it`(
    _ expected: String
  )
    async throws
  {
    try await RedisServer.with(password: expected) { server in
      for credentials in ["hunter2:wrong-secret@", ":wrong-secret@"] + (expected.isEmpty ? [] : [""]) {
        try await RunningRedisStore.with(server.url(credentials)) { running in
          await running.waitForEvent { $0.isRefusal }
          let error = await running.error()
          #expect(secondsLeft(error) == 2)
          #expect(!"\(running.eventsSoFar) \(String(describing: error))".contains("wrong-secret"))
        }
      }
      #expect(await server.run("DBSIZE") == "0")
    }
  }

  @Test
  func `A Redis that does not support AUTH repeats the password; no event contains it`() async throws {
    try await RedisServer.with(settings: ["--rename-command", "AUTH", "NOAUTH"]) { server in
      #expect(await server.run("AUTH wrong-secret").contains("wrong-secret"))
      try await RunningRedisStore.with(server.url(":wrong-secret@")) { running in
        await running.waitForEvent { $0.isRefusal }
        let error = await running.error()
        #expect(cause(error) == "Redis refused user or password: ERR")
        #expect(!"\(running.eventsSoFar)".contains("wrong-secret"))
      }
    }
  }

  @Test(arguments: ["allkeys-lru", "volatile-ttl"])
  func `With an eviction policy no nonce is accepted, until the policy is corrected`(_ policy: String)
    async throws
  {
    let settings = ["--maxmemory", "100mb", "--maxmemory-policy", policy]
    try await RedisServer.with(settings: settings) { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        await running.waitForEvent { $0.isEvictionPolicy }
        let error = await running.error()
        #expect(cause(error)?.contains("maxmemory-policy is \(policy), set it to noeviction") == true)
        await server.run("CONFIG SET maxmemory-policy noeviction")
        await running.waitForEvent { $0 == .connected }
        #expect(try await running.remember())
      }
    }
  }

  @Test
  func `A change to an eviction policy is detected`() async throws {
    var limits = RedisLimits()
    limits.inspectionMilliseconds = 100
    try await RedisServer.with { server in
      try await RunningRedisStore.with(server.url(), limits: limits) { running async throws in
        #expect(try await running.remember("nonce-01"))
        await server.run("CONFIG SET maxmemory 100mb maxmemory-policy allkeys-random")
        await running.waitForEvent { $0.isEvictionPolicy }
        #expect(secondsLeft(await running.error("nonce-02")) == 2)
      }
    }
  }

  @Test
  func `An eviction policy is accepted if memory has no limit`() async throws {
    try await RedisServer.with(settings: ["--maxmemory-policy", "allkeys-lru"]) { server in
      try await RunningRedisStore.with(server.url()) { running async throws in
        #expect(try await running.remember())
      }
    }
  }

  @Test
  func `If INFO is forbidden, that is reported, and nonces are accepted`() async throws {
    try await RedisServer.with { server in
      #expect(await server.run("ACL SETUSER registry on >secret ~device-registry:* +@all -@dangerous") == "OK")
      try await RunningRedisStore.with(server.url("registry:secret@")) { running async throws in
        await running.waitForEvent { $0.isUninspected }
        #expect(try await running.remember("nonce-01"))
        await server.flush()
        #expect(secondsLeft(await running.error("nonce-01")) == 6)
      }
    }
  }

  @Test
  func `A user without write permission is reported`() async throws {
    try await RedisServer.with { server in
      #expect(await server.run("ACL SETUSER registry on >secret ~device-registry:* +@all -set") == "OK")
      try await RunningRedisStore.with(server.url("registry:secret@")) { running in
        await running.waitForEvent { $0.isRefusal }
        #expect(cause(await running.error())?.contains("NOPERM") == true)
      }
    }
  }
}
