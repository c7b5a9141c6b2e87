import Foundation
import Registry
import Server
import TestSupport
import Testing

/// A device's rights depend on the time. In these tests the registry's clock moves only when they set it.
@Suite("A device and the time", .serialized) struct DeviceTimeTests {
  /// Lends a service whose clock stands still, and a device.
  private func withDevice(
    _ kind: DatabaseKind, settings: [String: String] = [:], bounds: (inout Configuration) -> Void = { _ in },
    _ body: (TestRegistry, TestOwner, TestDevice) async throws -> Void
  ) async throws {
    let clock = TestClock()
    clock.stop()
    try await TestRegistry.with(TestDatabase(kind), settings: settings, clock: clock, bounds: bounds) {
      registry in
      let owner = try await registry.newOwner()
      try await body(registry, owner, registry.newSignedDevice(of: owner))
    }
  }

  // MARK: Signatures

  @Test(arguments: DatabaseKind.allCases, [nil, 10])
  func `A signature counts from 60 seconds before its time until the skew has passed`(
    _ kind: DatabaseKind, _ skew: Int64?
  ) async throws {
    let settings = skew.map { ["SIGNATURE_SKEW_SECONDS": String($0)] } ?? [:]
    try await withDevice(kind, settings: settings) { registry, _, device in
      let skew = skew ?? 300
      for (age, isTimely) in [(skew, true), (skew + 1, false), (-60, true), (-61, false), (0, true)] {
        var request = try registry.request("GET", "/api/v1/device")
        request.created -= age
        let answer = try await registry.send(request, as: device)
        #expect(answer.status == (isTimely ? 200 : 401), "\(age) s old")
        guard !isTimely else { continue }
        #expect(try TestRegistry.kind(answer) == "clock-skew")
        #expect(try answer.string("server_time") == registry.clock.now().description)
        #expect(answer.value(of: "signature") == nil)
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A signature that expires counts up to that second`(_ kind: DatabaseKind) async throws {
    try await withDevice(kind) { registry, _, device in
      for (left, isTimely): (Int64, Bool) in [(0, true), (60, true), (-1, false)] {
        var request = try registry.request("GET", "/api/v1/device")
        request.created -= 10
        request.expires = registry.clock.secondsSince1970 + left
        let answer = try await registry.send(request, as: device)
        #expect(answer.status == (isTimely ? 200 : 401), "\(left) s left")
        if !isTimely { #expect(try TestRegistry.kind(answer) == "clock-skew") }
      }
    }
  }

  // MARK: Nonces

  @Test(arguments: DatabaseKind.allCases)
  func `A nonce is remembered for as long as its signature is timely, also one from ahead`(
    _ kind: DatabaseKind
  ) async throws {
    try await withDevice(kind) { registry, owner, device in
      var request = try registry.request("GET", "/api/v1/device")
      request.created += 60
      #expect(try await registry.send(request, as: device).status == 200)
      for seconds: Int64 in [0, 60, 300] {
        registry.clock.advance(seconds: seconds)
        let again = try await registry.send(request, as: device)
        #expect(try TestRegistry.kind(again) == "replayed", "\(seconds)")
        #expect(again.value(of: "signature") == nil)
      }
      // From now on the clock keeps it out.
      registry.clock.advance(seconds: 1)
      #expect(try await TestRegistry.kind(registry.send(request, as: device)) == "clock-skew")
      // Another device may use the same nonce.
      var fresh = try registry.request("GET", "/api/v1/device")
      #expect(try await registry.send(fresh, as: device).status == 200)
      let other = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.send(fresh, as: other).status == 200)
      fresh.created += 1
      #expect(try await TestRegistry.kind(registry.send(fresh, as: device)) == "replayed")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A nonce counts once for both secrets of a rotation`(_ kind: DatabaseKind) async throws {
    try await withDevice(kind) { registry, owner, device in
      let new = try await registry.rotate(device, of: owner).device
      let request = try registry.request("GET", "/api/v1/device")
      #expect(try await registry.send(request, as: device).status == 200)
      #expect(try await TestRegistry.kind(registry.send(request, as: new)) == "replayed")
      // A replay is no use of the new secret.
      #expect(try await registry.refusal(of: device) == nil)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Where there is room for no more nonces, requests are refused, and none is forgotten before its time`(
    _ kind: DatabaseKind
  ) async throws {
    try await withDevice(kind, bounds: { $0.maximumReplayNonces = 16 }) { registry, _, device in
      var accepted: [TestDevice.SignedRequest] = []
      var refused: HTTPAnswer?
      // Seventeen do not fit.
      while refused == nil, accepted.count < 17 {
        let request = try registry.request("GET", "/api/v1/device")
        let answer = try await registry.send(request, as: device)
        if answer.status == 200 { accepted.append(request) } else { refused = answer }
      }
      let answer = try #require(refused)
      #expect(answer.status == 503 && answer.value(of: "retry-after") != nil)
      #expect(answer.value(of: "signature") == nil)
      #expect(try TestRegistry.kind(answer) == "overloaded")
      #expect(try await registry.metric("replay_nonces") == Double(accepted.count))
      #expect(try await registry.metric("replay_nonces_limit") == 16)
      for request in accepted {
        #expect(try await TestRegistry.kind(registry.send(request, as: device)) == "replayed")
      }
      // The tables are of a fifth of the skew each, so that all are over by then, and there is room.
      registry.clock.advance(seconds: 361)
      #expect(try await registry.whoami(device).status == 200)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func
    `A process that starts on devices without their nonces refuses what may have been used before it, and then serves`(
      _ kind: DatabaseKind
    ) async throws
  {
    let database = await TestDatabase(kind)
    let clock = TestClock()
    clock.stop()
    let device = try await TestRegistry.with(database, clock: clock) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      // There was no device that could have signed anything: nothing is refused, however old.
      var old = try registry.request("GET", "/api/v1/device")
      old.created -= 300
      #expect(try await registry.send(old, as: device).status == 200)
      return device
    }
    clock.advance(seconds: 60)
    database.loseNonces()
    try await TestRegistry.with(database, clock: clock) { registry in
      let start = clock.secondsSince1970
      func status(createdAfterStart seconds: Int64) async throws -> Int {
        var request = try registry.request("GET", "/api/v1/device")
        request.created = start + seconds
        let answer = try await registry.send(request, as: device)
        if answer.status == 503 {
          #expect(answer.value(of: "retry-after").flatMap { Int($0) }.map { (1...7).contains($0) } == true)
          #expect(answer.value(of: "signature") == nil)
          #expect(try answer.string("server_time") == clock.now().description)
        }
        return answer.status
      }
      for seconds: Int64 in [-300, 0, 5] { #expect(try await status(createdAfterStart: seconds) == 503) }
      // An unknown device gets that answer, without `Retry-After`.
      let wrong = TestDevice(id: device.id, secret: String(repeating: "0", count: 64))
      #expect(try await registry.refusal(of: wrong) == "signature-invalid")
      // A token needs no nonce.
      let token = try await registry.newToken(of: device)
      #expect(try await registry.ask("GET", "/api/v1/device", token: token).status == 200)
      clock.advance(seconds: 10)
      #expect(try await status(createdAfterStart: 5) == 503)
      // On PostgreSQL another process may have taken its lock for held a second longer.
      if kind == .postgres { #expect(try await status(createdAfterStart: 6) == 503) }
      #expect(try await status(createdAfterStart: kind == .postgres ? 7 : 6) == 200)
      #expect(try await registry.poll(device).status == 200)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func
    `After a start without nonces, only a device that signed further ahead than 5 s before waits for a minute`(
      _ kind: DatabaseKind
    ) async throws
  {
    let database = await TestDatabase(kind)
    let clock = TestClock()
    clock.stop()
    let (fast, right, used) = try await TestRegistry.with(database, clock: clock) { registry in
      let owner = try await registry.newOwner()
      let (fast, right) = (
        try await registry.newSignedDevice(of: owner), try await registry.newSignedDevice(of: owner)
      )
      var used: [TestDevice.SignedRequest] = []
      for ahead: Int64 in [6, 60] {
        used.append(try registry.request("GET", "/api/v1/device"))
        used[used.count - 1].created += ahead
        #expect(try await registry.send(used.last!, as: fast).status == 200)
      }
      #expect(try await registry.poll(right).status == 200)
      return (fast, right, used)
    }
    database.loseNonces()
    try await TestRegistry.with(database, clock: clock) { registry in
      // On PostgreSQL another process may have taken its lock for held a second longer.
      clock.advance(seconds: 7)
      #expect(try await registry.poll(right).status == 200)
      for request in used {
        let again = try await registry.send(request, as: fast)
        #expect(again.status == 503)
        #expect(again.value(of: "retry-after").flatMap { Int($0) }.map { (50...60).contains($0) } == true)
      }
      clock.advance(seconds: 55)
      for request in used { #expect(try await registry.send(request, as: fast).status == 503) }
      #expect(try await registry.poll(fast).status == 200)
      // A day after it last did so, the device is like any other.
      clock.advance(seconds: 24 * 3600 + 120)
      #expect(try await registry.poll(fast).status == 200)
    }
    try await TestRegistry.with(database, clock: clock) { registry async throws in
      clock.advance(seconds: 7)
      #expect(try await registry.poll(fast).status == 200)
    }
  }

  // MARK: Secrets

  @Test(arguments: DatabaseKind.allCases)
  func `The old secret ends with its grace, and its tokens with it; the new one counts before and after`(
    _ kind: DatabaseKind
  ) async throws {
    try await withDevice(kind) { registry, owner, old in
      let before = try await registry.newToken(of: old)
      let (new, end) = try await registry.rotate(old, of: owner, graceSeconds: 60)
      #expect(end == (registry.clock.now() + 60_000).description)
      let answer = try await registry.askToken(old)
      #expect(try answer.object()["expires_in"] as? Int == 60)
      let token = try #require(try answer.string("access_token"))
      registry.clock.advance(milliseconds: 59_999)
      #expect(try await registry.refusal(of: old) == nil)
      for token in [before, token] {
        #expect(try await registry.ask("GET", "/api/v1/device", token: token).status == 200)
      }
      registry.clock.advance(milliseconds: 1)
      #expect(try await registry.refusal(of: old) == "signature-invalid")
      #expect(try await registry.askToken(old).string("error") == "invalid_client")
      for token in [before, token] {
        let refused = try await registry.ask("GET", "/api/v1/device", token: token)
        #expect(try refused.status == 401 && TestRegistry.kind(refused) == "token-invalid")
      }
      registry.clock.advance(seconds: 86_400)
      #expect(try await registry.refusal(of: new) == nil)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The grace is a day by default, and a second rotation does not extend it`(
    _ kind: DatabaseKind
  ) async throws {
    try await withDevice(kind) { registry, owner, old in
      let (lost, end) = try await registry.rotate(old, of: owner)
      #expect(end == (registry.clock.now() + 86_400_000).description)
      registry.clock.advance(seconds: 3600)
      let (new, sameEnd) = try await registry.rotate(old, of: owner)
      #expect(sameEnd == end)
      #expect(try await registry.refusal(of: lost) == "signature-invalid")
      #expect(try await registry.refusal(of: old) == nil)
      // To an earlier end it may move.
      let (newest, earlier) = try await registry.rotate(old, of: owner, graceSeconds: 60)
      #expect(earlier == (registry.clock.now() + 60_000).description)
      #expect(try await registry.refusal(of: new) == "signature-invalid")
      registry.clock.advance(seconds: 60)
      #expect(try await registry.refusal(of: old) == "signature-invalid")
      #expect(try await registry.refusal(of: newest) == nil)
    }
  }

  // MARK: Tokens

  @Test(arguments: DatabaseKind.allCases)
  func `A token lives for 15 minutes`(_ kind: DatabaseKind) async throws {
    try await withDevice(kind) { registry, _, device in
      let answer = try await registry.askToken(device)
      #expect(try answer.object()["expires_in"] as? Int == 900)
      let token = try #require(try answer.string("access_token"))
      for (milliseconds, status): (Int64, Int) in [(0, 200), (899_999, 200), (1, 401)] {
        registry.clock.advance(milliseconds: milliseconds)
        #expect(try await registry.ask("GET", "/api/v1/device/poll", token: token).status == status)
      }
    }
  }

  /// The process counts a device's requests with a monotonic clock; the one that starts after it has the database's
  /// count alone, which goes by the time.
  private func withDeviceOfTenTokens(
    _ kind: DatabaseKind, secondsApart seconds: Int64,
    _ body: (TestRegistry, TestOwner, TestDevice, _ tokens: [String]) async throws -> Void
  ) async throws {
    let database = await TestDatabase(kind)
    let clock = TestClock()
    clock.stop()
    let (owner, device, tokens) = try await TestRegistry.with(database, clock: clock) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let wrong = TestDevice(id: device.id, secret: String(repeating: "0", count: 64))
      // Those that do not verify do not count.
      for _ in 0..<11 { #expect(try await registry.askToken(wrong).status == 401) }
      var tokens: [String] = []
      for _ in 0..<10 {
        tokens.append(try await registry.newToken(of: device))
        clock.advance(seconds: seconds)
      }
      let refused = try await registry.askToken(device)
      #expect(refused.status == 429)
      #expect(refused.value(of: "retry-after").flatMap { Int($0) }.map { (1...60).contains($0) } == true)
      // Nobody else waits.
      _ = try await registry.newToken(of: registry.newSignedDevice(of: owner))
      return (owner, device, tokens)
    }
    try await TestRegistry.with(database, clock: clock) { registry in
      try await body(registry, owner, device, tokens)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Of ten tokens that live, the oldest makes room for one more`(_ kind: DatabaseKind) async throws {
    try await withDeviceOfTenTokens(kind, secondsApart: 7) { registry, _, device, tokens in
      func status(_ token: String) async throws -> Int {
        try await registry.ask("GET", "/api/v1/device", token: token).status
      }
      for token in tokens { #expect(try await status(token) == 200) }
      let newest = try await registry.newToken(of: device)
      #expect(try await status(tokens[0]) == 401)
      for token in tokens.dropFirst() + [newest] { #expect(try await status(token) == 200) }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Ten requests a minute get a token, whichever process they ask`(_ kind: DatabaseKind) async throws {
    try await withDeviceOfTenTokens(kind, secondsApart: 1) { registry, _, device, _ in
      let refused = try await registry.askToken(device)
      #expect(refused.status == 429)
      #expect(refused.value(of: "retry-after") == "50")
      registry.clock.advance(milliseconds: 49_999)
      #expect(try await registry.askToken(device).value(of: "retry-after") == "1")
      registry.clock.advance(milliseconds: 1)
      _ = try await registry.newToken(of: device)
    }
  }

  // MARK: Signals

  @Test(arguments: DatabaseKind.allCases)
  func `A signal is handed out until it expires, and can be acknowledged after that`(_ kind: DatabaseKind)
    async throws
  {
    try await withDevice(kind) { registry, owner, device in
      let short = try await registry.newSignal(of: owner, ttlSeconds: 1)
      let usual = try await registry.newSignal(of: owner)
      let long = try await registry.newSignal(of: owner, ttlSeconds: 604_800)
      registry.clock.advance(milliseconds: 999)
      #expect(try await registry.polledIDs(device) == [short, usual, long])
      registry.clock.advance(milliseconds: 1)
      #expect(try await registry.polledIDs(device) == [usual, long])
      func delivery(_ id: String) async throws -> [String: Any] {
        let signal = try await registry.ask("GET", "/api/v1/signals/\(id)", as: owner)
        return try #require((try signal.object()["deliveries"] as? [[String: Any]])?.first)
      }
      #expect(try await delivery(short)["state"] as? String == "expired")
      // That it was handed out is written within a second.
      let state = try await delivery(usual)["state"] as? String
      #expect(["pending", "handed_out"].contains(state))
      let ack = try await registry.ack(
        device, [["signal_id": short, "status": "skipped", "error": "too late"]])
      #expect(try ack.object()["acked"] as? [String] == [short])
      let acked = try await delivery(short)
      #expect(acked["state"] as? String == "acked" && acked["error"] as? String == "too late")
      #expect(acked["acked_at"] as? String == registry.clock.now().description)
      registry.clock.advance(seconds: 3599)
      #expect(try await registry.polledIDs(device) == [long])
      registry.clock.advance(seconds: 601_200)
      #expect(try await registry.polledIDs(device) == [])
    }
  }

  // MARK: Presence

  @Test(arguments: DatabaseKind.allCases)
  func `Each request moves last_seen, a poll last_poll, an ack last_ack, and none updated_at`(
    _ kind: DatabaseKind
  ) async throws {
    try await withDevice(kind) { registry, owner, device in
      var expected = Presence()
      func check(_ what: Comment) async throws {
        try await registry.until(what) { try await registry.presence(of: device, as: owner) == expected }
      }
      func next() -> String {
        registry.clock.advance(seconds: 60)
        return registry.clock.now().description
      }
      let registered = try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owner)
      try await check("registered")

      expected.seen = next()
      #expect(try await registry.whoami(device).status == 200)
      try await check("whoami")
      (expected.seen, expected.poll) = (next(), registry.clock.now().description)
      #expect(try await registry.poll(device).status == 200)
      try await check("poll")
      (expected.seen, expected.ack) = (next(), registry.clock.now().description)
      #expect(try await registry.ack(device, []).status == 200)
      try await check("ack")
      expected.seen = next()
      #expect(try await registry.poll(device, query: "?max=0").status == 400)
      try await check("a poll that asks for nothing that there is")
      expected.seen = next()
      let token = try await registry.newToken(of: device)
      try await check("a token")
      (expected.seen, expected.poll) = (next(), registry.clock.now().description)
      #expect(try await registry.ask("GET", "/api/v1/device/poll", token: token).status == 200)
      try await check("a poll with a token")

      // Who is not let in was not there; and the write of who was says that all before it is written.
      _ = next()
      let wrong = TestDevice(id: device.id, secret: String(repeating: "0", count: 64))
      #expect(try await registry.refusal(of: wrong) == "signature-invalid")
      let neighbour = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.poll(neighbour).status == 200)
      try await registry.until("the neighbour was there") {
        try await registry.presence(of: neighbour, as: owner).poll != nil
      }
      try await check("a wrong secret")
      let now = try await registry.ask("GET", "/api/v1/devices/\(device.id)", as: owner)
      #expect(try now.string("updated_at") == registered.string("updated_at"))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `What was not written yet is written when the service ends`(_ kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let clock = TestClock()
    clock.stop()
    let (owner, device) = try await TestRegistry.with(database, clock: clock) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      clock.advance(seconds: 60)
      _ = try await registry.poll(device)
      return (owner, device)
    }
    let time = clock.now().description
    clock.advance(seconds: 60)
    try await TestRegistry.with(database, clock: clock) { registry in
      let presence = try await registry.presence(of: device, as: owner)
      #expect(presence == Presence(seen: time, poll: time))
    }
  }
}

/// When a device was there, as its owner sees it.
private struct Presence: Equatable {
  var seen: String?
  var poll: String?
  var ack: String?
}

extension TestRegistry {
  fileprivate func presence(of device: TestDevice, as owner: TestOwner) async throws -> Presence {
    let answer = try await ask("GET", "/api/v1/devices/\(device.id)", as: owner)
    return Presence(
      seen: try answer.string("last_seen"), poll: try answer.string("last_poll"),
      ack: try answer.string("last_ack"))
  }
}
