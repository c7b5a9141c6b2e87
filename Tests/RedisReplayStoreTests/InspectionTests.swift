import EventLoop
import TestSupport
import Testing

@testable import RedisReplayStore

@Suite("Redis: what a check reads", .timeLimit(.minutes(2))) struct InspectionTests {
  private static func read(_ url: String) async throws -> RedisInspection {
    let loop = try EventLoop(name: "check")
    defer { loop.stop() }
    let url = try #require(RedisURL(url))
    return try await loop.run { () async throws in try await RedisInspection.read(url, on: loop) }
  }

  @Test func `The version is read, and nothing is written`() async throws {
    try await RedisServer.with { server in
      let found = try await Self.read(server.url(""))
      #expect(found.version?.isEmpty == false)
      #expect(found.objection == nil)
      #expect(await server.run("DBSIZE") == "0")
    }
  }

  @Test func `A Redis that may drop nonces is objected to`() async throws {
    try await RedisServer.with(settings: ["--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru"]) {
      server in
      let found = try await Self.read(server.url(""))
      #expect(found.objection?.contains("maxmemory-policy") == true)
    }
  }

  @Test func `A user who may not run INFO can be used, untested`() async throws {
    try await RedisServer.with { server in
      #expect(await server.run("ACL SETUSER registry on >secret ~device-registry:* +@all -info") == "OK")
      let found = try await Self.read(server.url("registry:secret@"))
      #expect(found == RedisInspection.untested)
    }
  }

  @Test func `A wrong password and a Redis that does not answer are errors without the password`() async throws
  {
    try await RedisServer.with(password: "right") { server in
      for isStopped in [false, true] {
        if isStopped { await server.stop() }
        let error = await #expect(throws: RedisUnusable.self) {
          try await Self.read(server.url(":wrong-secret@"))
        }
        #expect(error?.description.contains("wrong-secret") == false)
      }
    }
  }
}

extension RedisInspection {
  fileprivate static var untested: RedisInspection { RedisInspection(version: nil, objection: nil) }
}
