import Foundation
import Synchronization
import TestSupport
import Testing

/// A page of the feed.
///
/// `@unchecked Sendable`: values of JSON do not change.
struct FeedPage: @unchecked Sendable {
  let events: [[String: Any]]
  let next: String

  var types: [String] { events.compactMap { $0["type"] as? String } }
}

extension TestRegistry {
  /// Reads the owner's feed, which must succeed.
  func feed(of owner: TestOwner, after next: String? = nil, _ query: String = "") async throws -> FeedPage {
    let after = next.map { "after=\($0)&" } ?? ""
    let answer = try await ask("GET", "/api/v1/events?\(after)\(query)", as: owner)
    try #require(answer.status == 200, "\(answer.text)")
    let object = try answer.object()
    let events = try #require(object["events"] as? [[String: Any]])
    // A device that polls comes online when its presence is written. Only tests that ask for that expect it.
    let expected =
      query.contains("types=") ? events : events.filter { $0["type"] as? String != "device.online" }
    return FeedPage(events: expected, next: try #require(object["next"] as? String))
  }

  /// Reads the owner's feed until it has that many events: transactions of other tests delay them on PostgreSQL.
  func feed(
    of owner: TestOwner, after next: String? = nil, _ query: String = "", count: Int
  ) async throws -> FeedPage {
    var page = try await feed(of: owner, after: next, query)
    let start = next
    try await until("\(count) events are seen") {
      if page.events.count < count { page = try await feed(of: owner, after: start, query) }
      return page.events.count >= count
    }
    return page
  }
}

extension DeviceRegistry {
  @Suite("The feed of events") struct Events {
    @Test(arguments: DatabaseKind.allCases)
    func `What an owner does is recorded with actor, request, device and values`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let renamed = try await registry.ask(
        "PATCH", "/api/v1/devices/\(device.id)", as: owner, json: ["device_name": "EA-2"])
      try await registry.revoke(device, of: owner)
      let page = try await registry.feed(of: owner, count: 4)
      #expect(page.types == ["client.created", "device.registered", "device.updated", "device.revoked"])
      let event = page.events[2]
      #expect(event["device_id"] as? String == device.id)
      #expect(event["client_id"] as? String == owner.id)
      #expect(event["actor"] as? [String: String] == ["kind": "owner", "id": owner.id])
      #expect(event["request_id"] as? String == renamed.value(of: "x-request-id"))
      #expect((event["changes"] as? [String: [String]])?["device_name"]?.last == "EA-2")
      #expect(page.events[0]["actor"] as? [String: String] == ["kind": "admin", "id": "operator"])
      // Nothing more.
      #expect(try await registry.feed(of: owner, after: page.next).events.isEmpty)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A person acts for the client of the token's client_id, and events name both`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let person = TestRegistry.token(subject: "auth0|Zoë Ünal", clientID: owner.id)
      let registered = try await registry.ask(
        "POST", "/api/v1/devices", token: person, json: ["device_name": "EA"])
      #expect(registered.status == 201)
      let event = try #require(try await registry.feed(of: owner, count: 2).events.last)
      #expect(event["client_id"] as? String == owner.id)
      #expect(event["actor"] as? [String: String] == ["kind": "owner", "id": "auth0|Zoë Ünal"])
      for (subject, clientID) in [
        ("person", "no such client"), ("per\u{85}son", owner.id),
        (String(repeating: "p", count: 256), owner.id),
      ] {
        let token = TestRegistry.token(subject: subject, clientID: clientID)
        let answer = try await registry.ask("GET", "/api/v1/devices", token: token)
        #expect(answer.status == 401, "\(answer.text)")
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The reason of a rotation or revocation is in its event`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let path = "/api/v1/devices/\(device.id)"
      func post(_ action: String, _ json: Any?) async throws -> HTTPAnswer {
        try await registry.ask("POST", "\(path)/\(action)", as: owner, json: json)
      }
      #expect(try await post("rotate", ["reason": "monthly \u{1F680}"]).status == 200)
      let tooLong = try await post("revoke", ["reason": String(repeating: "é", count: 201)])
      #expect(tooLong.status == 400 && tooLong.text.contains("200"))
      #expect(try await post("revoke", ["reson": "x"]).status == 400)
      #expect(try await post("revoke", ["reason": String(repeating: "é", count: 200)]).status == 204)
      let events = try await registry.feed(of: owner, "types=device.secret_rotated,device.revoked", count: 2)
        .events
      #expect(
        events.map { $0["reason"] as? String } == ["monthly \u{1F680}", String(repeating: "é", count: 200)])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An event has no secret, hash, payload, ticket or error text`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let registered = try await registry.newDevice(of: owner)
      let id = try #require(registered["id"] as? String)
      let rotated = try await registry.ask("POST", "/api/v1/devices/\(id)/rotate", as: owner).object()
      _ = try await registry.ask(
        "POST", "/api/v1/signals", as: owner, json: ["payload": ["confidential": true], "all": true])
      _ = try await registry.feed(of: owner, count: 4)
      let text = try await registry.ask("GET", "/api/v1/events", as: owner).text
      for object in [registered, rotated] {
        for name in ["secret", "hmac_key_hash"] {
          #expect(!text.contains(try #require(object[name] as? String)))
        }
      }
      #expect(!text.contains("confidential"))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A reader that waits is woken by an event, and a filter by type or device holds`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let start = try await registry.feed(of: owner, count: 1).next
      async let woken = registry.feed(of: owner, after: start, "wait=30")
      async let filtered = registry.feed(of: owner, after: start, "wait=30&types=device.revoked")
      try await registry.until("both readers wait") { try await registry.metric("parked_readers") ?? 0 >= 2 }
      let device = try await registry.newSignedDevice(of: owner)
      #expect(try await woken.types == ["device.registered"])
      try await registry.revoke(device, of: owner)
      #expect(try await filtered.types == ["device.revoked"])
      let all = try await registry.feed(of: owner, "types=device.*", count: 2)
      #expect(all.types == ["device.registered", "device.revoked"])
      let other = try await registry.newSignedDevice(of: owner)
      let ofOne = try await registry.feed(of: owner, "device_id=\(other.id)", count: 1)
      #expect(ofOne.types == ["device.registered"])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A wait without an event ends with its time`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let start = try await registry.feed(of: owner, count: 1).next
      let began = ContinuousClock.now
      let page = try await registry.feed(of: owner, after: start, "wait=1")
      #expect(page.events.isEmpty && ContinuousClock.now - began >= .seconds(1))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A reader from now on gets only what happens from now on`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.feed(of: owner, count: 1)
      let start = try await registry.feed(of: owner, after: "now")
      #expect(start.events.isEmpty)
      _ = try await registry.newDevice(of: owner)
      #expect(try await registry.feed(of: owner, after: start.next, count: 1).types == ["device.registered"])
      let unknown = try await registry.ask(
        "GET", "/api/v1/clients/nobody/events?after=now", token: TestRegistry.administrator)
      #expect(unknown.status == 404)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A reader of recent events begins with the last ones`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let all = try await registry.feed(of: owner, count: 1)
      #expect(try await registry.feed(of: owner, after: "recent", count: 1).types == all.types)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Another client's cursor shows nothing of that client, and another's events are not listed`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      let next = try await registry.feed(of: owner, count: 1).next
      _ = try await registry.newDevice(of: owner)
      _ = try await registry.feed(of: owner, after: next, count: 1)
      #expect(
        try await registry.feed(of: other, after: next).events.allSatisfy {
          $0["client_id"] as? String == other.id
        })
      let answer = try await registry.ask("GET", "/api/v1/clients/\(owner.id)/events", as: other)
      #expect(answer.status == 403)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An administrator reads the events of a client, also after its end`(_ kind: DatabaseKind) async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.newDevice(of: owner)
      let path = "/api/v1/clients/\(owner.id)"
      #expect(try await registry.ask("DELETE", path, token: TestRegistry.administrator).status == 204)
      try await registry.until("the device's end is seen") {
        let answer = try await registry.ask("GET", "\(path)/events", token: TestRegistry.administrator)
        let types = (try answer.object()["events"] as? [[String: Any]])?.compactMap { $0["type"] as? String }
        return types == ["client.created", "device.registered", "client.deleted", "device.deleted"]
      }
      let unknown = try await registry.ask(
        "GET", "/api/v1/clients/nobody/events", token: TestRegistry.administrator)
      #expect(unknown.status == 404)
    }

    @Test(
      arguments: [
        ("types=device.revokd", "device.revoked"), ("types=devices.*", "device.*"), ("types=", "types"),
        ("types=device.*,", "matches no type"), ("after=x", "after"), ("after=AAAA", "after"),
        ("wait=31", "wait"),
        ("limit=0", "limit"), ("limit=1001", "limit"), ("device_id=1", "device_id"), ("cursor=AAAA", "cursor"),
      ])
    func `A wrong query is 400 and says what was meant`(_ query: String, _ said: String) async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let answer = try await registry.ask("GET", "/api/v1/events?\(query)", as: owner)
      #expect(answer.status == 400 && answer.text.contains(said), "\(answer.text)")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A cursor of another database is 410`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let cursor = Data(repeating: 0x7F, count: 24).base64EncodedString()
        .replacing("+", with: "-").replacing("/", with: "_")
      let answer = try await registry.ask("GET", "/api/v1/events?after=\(cursor)", as: owner)
      #expect(answer.status == 410)
      #expect(answer.text.contains("/cursor-expired"))
    }
  }
}
