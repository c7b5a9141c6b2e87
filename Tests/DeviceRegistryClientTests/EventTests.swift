import Foundation
import Synchronization
import TestSupport
import Testing

@testable import DeviceRegistryClient

private let event = """
  {"id":"e-1","type":"device.updated","at":"2030-01-01T00:00:00.123Z","client_id":"alice",\
  "device_id":"\(StandInDevices.id)","signal_id":null,"actor":{"kind":"owner","id":"alice"},"request_id":"r-1",\
  "reason":null,"changes":{"device_name":["EA-Main","EA, [London]"],"devices":[null,3],"enabled":[true,false],\
  "types":[null,["device.*","x"]],"later":[{"a":1},null]}}
  """

private func page(_ events: [String] = [], next: String, fields: [(String, String)] = [])
  -> StandInRegistry.Reply
{
  .json(#"{"events":[\#(events.joined(separator: ","))],"next":"\#(next)"}"#, fields: fields)
}

/// Answers in this order, the last one again and again.
private func stand(_ replies: [StandInRegistry.Reply]) -> StandInRegistry {
  StandInRegistry { _, number in .reply(replies[min(number, replies.count - 1)]) }
}

private func client(_ registry: StandInRegistry, _ system: TestSystem = TestSystem()) throws -> OwnerClient {
  try OwnerClient(url: registry.url, token: "t", system: system.system)
}

/// The `next` of the first pages.
private func first(_ count: Int, of pages: EventPages) async throws(RegistryClientError) -> [String] {
  var found: [String] = []
  var iterator = pages.makeAsyncIterator()
  while found.count < count, let page = try await iterator.next() { found.append(page.next) }
  return found
}

@Suite("The feed of events, for an owner")
struct EventTests {
  @Test func `A page has what happened, also byte for byte`() async throws {
    let registry = stand([page([event, event], next: "c1")])
    let read = try await client(registry).events()
    #expect(read.next == "c1" && read.events.count == 2)
    let first = try #require(read.events.first)
    #expect(first.id == "e-1" && first.type == "device.updated" && first.clientID == "alice")
    #expect(first.deviceID == StandInDevices.id && first.signalID == nil && first.reason == nil)
    #expect(first.actor.kind == "owner" && first.actor.id == "alice" && first.requestID == "r-1")
    #expect(String(decoding: first.json, as: UTF8.self) == event)
    let changes = try #require(first.changes)
    #expect(changes["device_name"]?.old == .text("EA-Main") && changes["devices"]?.old == nil)
    #expect(changes["devices"]?.new?.description == "3" && changes["enabled"]?.new == .flag(false))
    #expect(changes["types"]?.new?.description == "device.*,x" && changes["later"]?.old == .other)
  }

  @Test func `The query says what is asked for, and wrong parameters are not sent`() async throws {
    let registry = stand([page(next: "c1")])
    let client = try client(registry)
    _ = try await client.events()
    _ = try await client.events(
      after: "a&b", types: ["device.*", "signal.created"], deviceID: StandInDevices.id.uppercased(), limit: 7,
      waitSeconds: 30)
    #expect(
      registry.received.map(\.target) == [
        "/api/v1/events?limit=100&wait=0",
        "/api/v1/events?limit=7&wait=30&after=a%26b&types=device.%2A%2Csignal.created&device_id=\(StandInDevices.id)",
      ])
    for wrong in [
      (0, 0, StandInDevices.id), (1001, 0, StandInDevices.id), (1, 31, StandInDevices.id), (1, 0, "x"),
    ] {
      let error = await failure { () throws(RegistryClientError) in
        try await client.events(deviceID: wrong.2, limit: wrong.0, waitSeconds: wrong.1)
      }
      guard case .invalidArgument = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    #expect(registry.received.count == 2)
  }

  @Test func `Pages are followed; from now on begins with a position`() async throws {
    let registry = stand([page(next: "c1"), page([event], next: "c2"), page(next: "c3")])
    let system = TestSystem()
    #expect(
      try await first(3, of: client(registry, system).eventPages(after: OwnerClient.now)) == ["c1", "c2", "c3"])
    #expect(
      registry.received.map(\.target) == [
        "/api/v1/events?limit=100&wait=0&after=now", "/api/v1/events?limit=100&wait=25&after=c1",
        "/api/v1/events?limit=100&wait=25&after=c2",
      ])
    #expect(system.pauses.isEmpty)
  }

  @Test func `Temporary failures are reported and retried, with the same cursor and growing pauses`()
    async throws
  {
    let registry = StandInRegistry { _, number in
      switch number {
      case 0: .close
      case 1: .reply(page([event], next: "c1"))
      case 2: .reply(.problem(503, "unavailable", fields: [("Retry-After", "7")]))
      case 3...7: .reply(.problem(503, "unavailable"))
      default: .reply(page(next: "c2"))
      }
    }
    let system = TestSystem()
    let reported = Mutex<[RegistryClientError]>([])
    let pages = try client(registry, system).eventPages { error in reported.withLock { $0.append(error) } }
    #expect(try await first(2, of: pages) == ["c1", "c2"])
    let errors = reported.withLock { $0 }
    #expect(errors.count == 7 && system.pauses.count == 7)
    guard case .unreachable? = errors.first else {
      Issue.record("\(errors)")
      return
    }
    #expect(system.pauses[1] >= .seconds(7) && system.pauses[6] > system.pauses[2])
    #expect(registry.received.dropFirst(2).allSatisfy { $0.target.hasSuffix("&after=c1") })
  }

  @Test func `Pages that show nothing new are a second apart, and Retry-After is respected`() async throws {
    let registry = stand([
      page(next: "c1"), page(next: "c1"), page(next: "c2", fields: [("Retry-After", "5")]), page(next: "c3"),
    ])
    let system = TestSystem(stepMilliseconds: 300)
    #expect(try await first(4, of: client(registry, system).eventPages()) == ["c1", "c1", "c2", "c3"])
    #expect(system.pauses.first == .milliseconds(700) && system.pauses.count == 2)
    #expect(system.pauses.last.map { $0 >= .seconds(5) } == true)
  }

  @Test(arguments: [(401, "invalid-token"), (403, "forbidden"), (410, "cursor-expired"), (400, "invalid")])
  func `A permanent failure ends the feed; an expired cursor is a separate error`(
    status: Int, kind: String
  ) async throws {
    let registry = stand([page(next: "c1"), .problem(status, kind)])
    let pages = try client(registry).eventPages()
    let error = await failure { () throws(RegistryClientError) in try await first(2, of: pages) }
    switch error {
    case .cursorExpired(let problem)?: #expect(status == 410 && problem.kind == kind)
    case .problem(let problem)?: #expect(status != 410 && problem.status == status)
    default: Issue.record("\(String(describing: error))")
    }
    #expect(registry.received.count == 2)
  }

  @Test(arguments: [
    "[]", "{}", #"{"events":{},"next":"c"}"#, #"{"events":[],"next":1}"#, #"{"events":[{}],"next":"c"}"#,
  ])
  func `What is no page is malformed`(text: String) async throws {
    let registry = stand([.json(text)])
    let client = try client(registry)
    let error = await failure { () throws(RegistryClientError) in try await client.events() }
    guard case .malformedAnswer? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}

@Suite("Idempotency keys, for an owner")
struct IdempotencyKeyTests {
  private static let device =
    #"{\#(deviceJSON),"hmac_key_hash":"$argon2id$v=19$x","secret":"\#(StandInDevices.secret)"}"#

  @Test func `With a key, what creates is retried with the same key`() async throws {
    let registry = StandInRegistry { _, number in
      switch number {
      case 0: .close
      case 1: .reply(.problem(503, "unavailable"))
      case 2: .reply(.problem(409, "idempotency-in-progress"))
      default: .reply(.json(Self.device, status: 201))
      }
    }
    let device = try await client(registry).register(name: "EA", idempotencyKey: "k-1")
    #expect(device.device.id == StandInDevices.id)
    #expect(registry.received.map { $0.fields["idempotency-key"] } == ["k-1", "k-1", "k-1", "k-1"])
  }

  @Test func `A secret that was shown before is an error that names the device`() async throws {
    let registry = StandInRegistry { _, number in
      number == 0
        ? .close
        : .reply(.problem(409, "secret-already-shown", members: #","device_id":"d-1","webhook_id":"w-1""#))
    }
    let client = try client(registry)
    let error = await failure { () throws(RegistryClientError) in
      try await client.rotate(StandInDevices.id, idempotencyKey: "k-1")
    }
    #expect(error?.problem?.kind == "secret-already-shown")
    #expect(error?.problem?.deviceID == "d-1" && error?.problem?.webhookID == "w-1")
    #expect(registry.received.count == 2)
  }

  @Test func `All that creates takes a key, and sends none without one`() async throws {
    let registry = stand([.problem(422, "idempotency-mismatch")])
    let client = try client(registry)
    for key in [nil, "k-1"] {
      _ = await failure { () throws(RegistryClientError) in
        try await client.createSignal(to: .all, payload: ["a": 1], idempotencyKey: key)
      }
      _ = await failure { () throws(RegistryClientError) in
        try await client.createWebhook(url: "https://example.com/", idempotencyKey: key)
      }
    }
    #expect(registry.received.map { $0.fields["idempotency-key"] } == [nil, nil, "k-1", "k-1"])
  }

  @Test(arguments: ["", "a b", "a\r\nX: y", "ä", String(repeating: "k", count: 65)])
  func `A malformed key is not sent`(key: String) async throws {
    let registry = stand([.json(Self.device, status: 201)])
    let client = try client(registry)
    let error = await failure { () throws(RegistryClientError) in
      try await client.register(name: "EA", idempotencyKey: key)
    }
    guard case .invalidArgument(name: "idempotencyKey", _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(registry.received.isEmpty)
  }
}

@Suite("An owner's token from a file")
struct TokenFileTests {
  private let directory = TemporaryDirectory()

  @Test func `The file is read before each request`() async throws {
    let registry = stand([.json("[]")])
    let path = try secretFile("one", in: directory)
    let client = try OwnerClient(url: registry.url, tokenFile: path)
    _ = try await client.listDevices()
    #expect(rename(try secretFile("two", in: directory), path) == 0)
    _ = try await client.listDevices()
    #expect(registry.received.map { $0.fields["authorization"] } == ["Bearer one", "Bearer two"])
    #expect(unlink(path) == 0)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.listDevices() }
        == .secretFile(path: path, message: "No such file or directory"))
  }

  @Test(arguments: [
    ("", 0o600, "must contain a token"), ("a b", 0o600, "must contain a token"), ("one", 0o640, "chmod 600"),
    (String(repeating: "t", count: 16 * 1024 + 1), 0o600, "more than"),
  ])
  func `A file that others can read, or that has no token, is refused`(
    text: String, permissions: Int, what: String
  ) throws {
    let path = try secretFile(text, in: directory)
    #expect(chmod(path, mode_t(permissions)) == 0)
    let error = #expect(throws: RegistryClientError.self) {
      try OwnerClient(url: "http://localhost", tokenFile: path)
    }
    #expect(error?.description.contains(what) == true && error?.description.contains(path) == true)
  }
}
