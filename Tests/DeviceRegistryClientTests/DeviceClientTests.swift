import DeviceRegistryClient
import Foundation
import RequestSignature
import TestSupport
import Testing

typealias Reply = StandInRegistry.Reply
typealias Step = StandInDevices.Step

/// A client of the stand-in, or of whatever else listens at the URL.
func deviceClient(
  _ url: String, _ system: TestSystem = TestSystem(), secret: String = StandInDevices.secret,
  instance: String? = nil, retries: RetryPolicy = RetryPolicy()
) throws -> DeviceClient {
  try DeviceClient(
    url: url, credentials: DeviceCredentials(id: StandInDevices.id, secret: secret), instance: instance,
    retries: retries, system: system.system)
}

let emptyPoll = Reply.json(#"{"signals":[],"server_time":"2030-01-01T00:00:00.000Z"}"#)

func pollReply(_ ids: [String], payload: String = #"{"symbol":"EURUSD"}"#, fields: [(String, String)] = [])
  -> Reply
{
  let signals = ids.map { id in
    #"{"id":"\#(id)","created_at":"2030-01-01T00:00:00.000Z","expires_at":"2030-01-01T01:00:00.000Z","payload":"#
      + payload + "}"
  }
  return .json(
    #"{"signals":["# + signals.joined(separator: ",") + #"],"server_time":"2030-01-01T00:00:00.250Z"}"#,
    fields: fields)
}

let deviceJSON = """
  "id":"\(StandInDevices.id)","client_id":"alice","device_name":"EA-Main","is_active":true,"revoked":false,\
  "status":"active","status_reason":null,"suspended_until":null,"expires_at":null,"labels":{"role":"primary"},\
  "groups":["live"],"online":true,"trading_mode":{"mode":"halted","version":2,"reason":"news",\
  "since":"2029-01-01T00:00:00.000Z","confirmed_version":1,"confirmed_at":"2029-01-01T00:00:00.000Z"},\
  "last_poll":null,"last_ack":"2030-01-01T00:00:00.123Z","last_seen":null,"created_at":"2029-01-01T00:00:00.000Z",\
  "updated_at":"2029-01-01T00:00:00.000Z","later":{"more":[1,2]}
  """

@Suite("A device's requests")
struct DeviceClientTests {
  @Test
  func `It learns what the registry knows of it; members that are not known are ignored`() async throws {
    let stand = StandInDevices([.signed(.json("{\(deviceJSON),\"server_time\":\"2030-01-01T00:00:00.500Z\"}"))])
    let status = try await deviceClient(stand.url).whoami()
    #expect(status.device.id == StandInDevices.id)
    #expect(status.device.name == "EA-Main" && status.device.clientID == "alice" && status.device.isActive)
    #expect(status.device.lastPoll == nil)
    let lastAck = try #require(status.device.lastAck).timeIntervalSince1970
    #expect((lastAck * 1000).rounded() == 1_893_456_000_123)
    #expect(status.serverTime == Date(timeIntervalSince1970: 1_893_456_000.5))
    #expect(stand.registry.received.map(\.target) == ["/api/v1/device"])
  }

  @Test
  func `It polls; payloads come byte by byte as they were sent`() async throws {
    let payload =
      #"{"lots": 1.10,"big":12345678901234567890123,"text":"a\"],}{","list":[ ] ,"payload":{"n":[{}]}}"#
    let stand = StandInDevices([.signed(pollReply(["s-1", "s-2"], payload: payload))])
    let result = try await deviceClient(stand.url).poll(wait: 20, max: 10)
    #expect(result.signals.map(\.id) == ["s-1", "s-2"])
    #expect(result.signals.allSatisfy { $0.payload.json == Data(payload.utf8) })
    struct Order: Decodable { let lots: Double }
    #expect(try result.signals[0].payload.decode(as: Order.self).lots == 1.1)
    #expect(result.signals[1].expiresAt == Date(timeIntervalSince1970: 1_893_459_600))
    #expect(result.serverTime == Date(timeIntervalSince1970: 1_893_456_000.25))
    let request = try #require(stand.registry.received.first)
    #expect(request.target == "/api/v1/device/poll?wait=20&max=10")
    #expect(request.fields["authorization"] == nil)
  }

  @Test
  func `A signal that cannot be read does not affect the others`() async throws {
    for (payload, reason) in [
      ("5", "not an object"), (#"{"a":"\ud800"}"#, "cannot be read"),
      (#"{"payload":{}}x"#, "not the expected JSON"),
    ] {
      var reply = pollReply(["s-1", "s-2", "s-3"])
      let text = String(decoding: reply.body, as: UTF8.self)
      let good = #"{"symbol":"EURUSD"}"#
      let second = try #require(text.ranges(of: good).dropFirst().first)
      reply.body = Array(text.replacingCharacters(in: second, with: payload).utf8)
      let stand = StandInDevices([.signed(reply)])
      let result = try await deviceClient(stand.url).poll()
      #expect(result.signals.map(\.id) == ["s-1", "s-3"])
      #expect(result.unreadable.map(\.id) == ["s-2"])
      #expect(result.unreadable[0].reason.contains(reason))
    }
  }

  @Test
  func `A payload whose name has an escape is found`() async throws {
    var reply = pollReply(["s-1"])
    let text = String(decoding: reply.body, as: UTF8.self)
    reply.body = Array(text.replacing(#""payload""#, with: #""payl\u006fad""#).utf8)
    let stand = StandInDevices([.signed(reply)])
    #expect(
      try await deviceClient(stand.url).poll().signals[0].payload.json == Data(#"{"symbol":"EURUSD"}"#.utf8))
  }

  @Test
  func `It acknowledges; the body is covered by the signature`() async throws {
    let stand = StandInDevices([.signed(.json(#"{"acked":["s-1"],"unknown":["s-2"]}"#))])
    let result = try await deviceClient(stand.url).acknowledge([
      Acknowledgement(signalID: "s-1", status: .placed, brokerTicket: "42"),
      Acknowledgement(signalID: "s-2", status: .failed, error: "no money"),
    ])
    #expect(result.acknowledged == ["s-1"] && result.unknown == ["s-2"])
    let body = try #require(stand.registry.received.first?.body)
    let acks = (try JSONSerialization.jsonObject(with: Data(body)) as? [String: [[String: String]]])?["acks"]
    #expect(
      acks == [
        ["signal_id": "s-1", "status": "placed", "broker_ticket": "42"],
        ["signal_id": "s-2", "status": "failed", "error": "no money"],
      ])
    #expect(stand.registry.received.first?.fields["content-type"] == "application/json")
    #expect(stand.proofs.first?.covered.contains(.contentDigest) == true)
  }

  @Test
  func `Numbers out of bounds are refused before anything is sent`() async throws {
    let stand = StandInDevices([.signed(emptyPoll)])
    let client = try deviceClient(stand.url)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.poll(wait: 31) }?.description
        == "wait must be from 0 to 30")
    #expect(await failure { () throws(RegistryClientError) in try await client.poll(max: 0) } != nil)
    let acknowledgement = Acknowledgement(signalID: "s", status: .skipped)
    let tooMany = [Acknowledgement](repeating: acknowledgement, count: 101)
    #expect(await failure { () throws(RegistryClientError) in try await client.acknowledge(tooMany) } != nil)
    #expect(stand.registry.received.isEmpty)
  }

  @Test
  func `Each request has a new nonce of 128 bits, and the time`() async throws {
    let stand = StandInDevices([.signed(emptyPoll)])
    let client = try deviceClient(stand.url)
    for _ in 0..<3 { _ = try await client.poll() }
    let proofs = stand.proofs
    #expect(proofs.count == 3 && Set(proofs.map(\.nonce)).count == 3)
    #expect(proofs.allSatisfy { $0.nonce.count == 22 && $0.created == TestSystem.now / 1000 })
  }

  @Test
  func `A wrong secret is refused, with the registry's words, and not tried again`() async throws {
    let stand = StandInDevices([.signed(emptyPoll)])
    let client = try deviceClient(stand.url, secret: String(repeating: "f", count: 64))
    let error = await failure { () throws(RegistryClientError) in try await client.poll() }
    let problem = try #require(error?.problem)
    #expect(problem.status == 401 && problem.kind == "signature-invalid" && problem.requestID == "r-1")
    #expect(error?.description.contains("What to do.") == true)
    #expect(stand.registry.received.count == 1)
  }

  @Test
  func `A validation error names the fields`() async throws {
    let members = #","errors":[{"field":"acks","message":"must\u001b[2J be a list"}]"#
    let stand = StandInDevices([.signed(.problem(400, "invalid-value", members: members))])
    let error = await failure { [url = stand.url] () throws(RegistryClientError) in
      try await client(url).acknowledge([])
    }
    #expect(error?.problem?.errors.map(\.field) == ["acks"])
    #expect(error?.description.contains("acks must [2J be a list") == true)
  }

  @Test
  func `Ids and secrets that are not of their form are refused; the keys are not printed`() async throws {
    for (id, secret) in [
      ("device", StandInDevices.secret), (StandInDevices.id, "short"),
      (StandInDevices.id, String(repeating: "F", count: 64)), ("", StandInDevices.secret),
    ] {
      #expect(
        await failure { () throws(RegistryClientError) in try DeviceCredentials(id: id, secret: secret) } != nil
      )
    }
    let credentials = try DeviceCredentials(
      id: StandInDevices.id.uppercased(), secret: StandInDevices.secret)
    #expect(credentials.id == StandInDevices.id)
    var text = "\(credentials)" + String(reflecting: credentials)
    dump(credentials, to: &text)
    #expect(text.contains("<redacted>") && !text.contains("DeviceKeys"))
  }

  private func client(_ url: String) throws(RegistryClientError) -> DeviceClient {
    try DeviceClient(
      url: url, credentials: DeviceCredentials(id: StandInDevices.id, secret: StandInDevices.secret),
      system: TestSystem().system)
  }
}

@Suite("Answers that are not believed")
struct AnswerVerificationTests {
  @Test
  func `A success without a signature`() async throws {
    let stand = StandInDevices([.unsigned(emptyPoll)])
    let client = try deviceClient(stand.url)
    #expect(await failure { () throws(RegistryClientError) in try await client.poll() }?.isNotAuthentic == true)
    #expect(stand.registry.received.count == 1)
  }

  @Test(
    arguments: StandInDevices.Flaw.allCases,
    [200, 401, 503])
  func `One whose signature has a flaw, whatever the status`(flaw: StandInDevices.Flaw, status: Int)
    async throws
  {
    let reply = Reply(status: status, fields: emptyPoll.fields, body: emptyPoll.body)
    let stand = StandInDevices([.signedBadly(reply, flaw)])
    let client = try deviceClient(stand.url)
    let error = await failure { () throws(RegistryClientError) in try await client.poll() }
    #expect(error?.isNotAuthentic == true, "\(String(describing: error))")
    #expect(stand.registry.received.count == 1)
  }

  @Test(arguments: [301, 302, 303, 307, 308])
  func `A redirect, which is not followed`(status: Int) async throws {
    let elsewhere = StandInRegistry { _, _ in .reply(.json("{}")) }
    let stand = StandInDevices([
      .unsigned(Reply(status: status, fields: [("Location", elsewhere.url + "/api/v1/device/poll")]))
    ])
    let client = try deviceClient(stand.url)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.poll() } == .redirected(status: status)
    )
    #expect(elsewhere.received.isEmpty)
  }

  @Test
  func `One that is too large is cut off`() async throws {
    let limit = 16 * 1024 * 1024
    let stand = StandInDevices([.signed(Reply(body: [UInt8](repeating: UInt8(ascii: " "), count: limit + 1)))])
    let client = try deviceClient(stand.url)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.poll() }
        == .answerTooLarge(limitBytes: limit))
  }

  @Test(arguments: [
    "", "[]", "{}", #"{"signals":[{}]}"#, #"{"signals":{},"server_time":"2030-01-01T00:00:00.000Z"}"#,
    #"{"signals":[],"server_time":"yesterday"}"#,
  ])
  func `One that is signed and not of the form that is known`(text: String) async throws {
    let stand = StandInDevices([.signed(.json(text))])
    let client = try deviceClient(stand.url)
    let error = await failure { () throws(RegistryClientError) in try await client.poll() }
    guard case .malformedAnswer = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test
  func `An error that is no problem document says that something else answered`() async throws {
    let stand = StandInDevices([.unsigned(Reply(status: 404, body: Array("<html>".utf8)))])
    let client = try deviceClient(stand.url)
    let error = await failure { () throws(RegistryClientError) in try await client.poll() }
    #expect(error == .unexpectedAnswer(status: 404, retryAfterSeconds: nil))
  }
}

@Suite("A clock that is wrong")
struct ClockTests {
  /// 2030-01-01T02:00:00Z, two hours ahead of the test's clock.
  private let serverTime = "2030-01-01T02:00:00.000Z"
  private let ahead: Int64 = 7200

  @Test
  func `is set by the registry's, once an answer that is signed has confirmed it`() async throws {
    let stand = StandInDevices([.clockSkew(serverTime: serverTime), .signed(emptyPoll)])
    let client = try deviceClient(stand.url)
    _ = try await client.poll()
    _ = try await client.poll()
    let now = TestSystem.now / 1000
    #expect(stand.proofs.map(\.created) == [now, now + ahead, now + ahead])
  }

  @Test
  func `is set by an error that is signed too`() async throws {
    let stand = StandInDevices([
      .clockSkew(serverTime: serverTime), .signed(.problem(400, "invalid-value")), .signed(emptyPoll),
    ])
    let client = try deviceClient(stand.url)
    #expect(await failure { () throws(RegistryClientError) in try await client.poll() }?.problem?.status == 400)
    _ = try await client.poll()
    #expect(stand.proofs.last?.created == TestSystem.now / 1000 + ahead)
  }

  @Test
  func `stays as it is where nobody signed for the other time`() async throws {
    for step in [
      Step.unsigned(emptyPoll), .unsigned(.problem(401, "signature-invalid")),
      .clockSkew(serverTime: serverTime),
    ] {
      let stand = StandInDevices([.clockSkew(serverTime: serverTime), step, .signed(emptyPoll)])
      let client = try deviceClient(stand.url)
      #expect(await failure { () throws(RegistryClientError) in try await client.poll() } != nil)
      _ = try await client.poll()
      let now = TestSystem.now / 1000
      #expect(stand.proofs.map(\.created) == [now, now + ahead, now])
    }
  }

  @Test
  func `follows one unsigned time until an answer is signed`() async throws {
    let (first, second) = ("2030-01-01T02:00:00.000Z", "2030-01-01T05:00:00.000Z")
    let stand = StandInDevices([
      .clockSkew(serverTime: first), .unsigned(.problem(400, "any")), .clockSkew(serverTime: second),
      .signed(emptyPoll), .clockSkew(serverTime: second), .signed(emptyPoll),
    ])
    let client = try deviceClient(stand.url)
    #expect(await failure { () throws(RegistryClientError) in try await client.poll() } != nil)
    _ = try await client.poll()
    _ = try await client.poll()
    let now = TestSystem.now / 1000
    #expect(
      stand.proofs.map(\.created) == [now, now + ahead, now, now + ahead, now + ahead, now + 5 * 3600])
  }

  @Test(arguments: [
    ("2030-01-02T00:00:00.000Z", 2), ("2030-01-02T00:00:00.001Z", 1), ("2029-12-30T23:59:59Z", 1),
  ])
  func `follows at most 24 hours`(serverTime: String, requests: Int) async throws {
    let stand = StandInDevices([.clockSkew(serverTime: serverTime), .signed(emptyPoll)])
    let client = try deviceClient(stand.url)
    let error = await failure { () throws(RegistryClientError) in try await client.poll() }
    #expect(error?.problem?.kind == (requests == 1 ? "clock-skew" : nil))
    #expect(stand.proofs.count == requests)
  }

  @Test
  func `is not set by a problem that names no time, or none that there is`() async throws {
    let stand = StandInDevices([.unsigned(.problem(401, "clock-skew"))])
    let client = try deviceClient(stand.url)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.poll() }?.problem?.kind == "clock-skew"
    )
    #expect(stand.registry.received.count == 1)
    let ages = StandInDevices([.clockSkew(serverTime: "1066-10-14T09:00:00Z")])
    let other = try deviceClient(ages.url)
    #expect(await failure { () throws(RegistryClientError) in try await other.poll() } != nil)
    #expect(ages.registry.received.count == 1)
  }
}

@Suite("Failures for the moment")
struct RetryTests {
  @Test(arguments: [429, 500, 502, 503, 504])
  func `are retried with a new signature, after the requested pause`(status: Int) async throws {
    let stand = StandInDevices([
      .unsigned(.problem(status, "unavailable", fields: [("Retry-After", "7")])), .signed(emptyPoll),
    ])
    let system = TestSystem()
    _ = try await deviceClient(stand.url, system).poll()
    #expect(Set(stand.proofs.map(\.nonce)).count == 2)
    #expect(system.pauses.count == 1)
    #expect(try #require(system.pauses.first) >= .seconds(7))
    #expect(try #require(system.pauses.first) <= .milliseconds(7250))
  }

  @Test
  func `are retried with growing pauses up to the limit, and then reported`() async throws {
    let stand = StandInDevices([.unsigned(.problem(503, "overloaded"))])
    let system = TestSystem()
    let client = try deviceClient(stand.url, system, retries: RetryPolicy(maximumAttempts: 5))
    let error = await failure { () throws(RegistryClientError) in try await client.poll() }
    #expect(error?.problem?.status == 503)
    #expect(stand.proofs.count == 5 && system.pauses.count == 4)
    for (pause, longest) in zip(system.pauses, [250, 500, 1000, 2000]) {
      #expect((.milliseconds(longest / 2) ... .milliseconds(longest)).contains(pause))
    }
  }

  @Test
  func `A connection that closes without an answer is one, on a fresh connection and on one that was used`()
    async throws
  {
    let stand = StandInDevices([.close, .signed(emptyPoll), .close, .close, .signed(emptyPoll)])
    let system = TestSystem()
    let client = try deviceClient(stand.url, system)
    _ = try await client.poll()
    // On a used connection the HTTP library itself may send a request twice; the registry has seen its nonce then.
    _ = try await client.poll()
    #expect(stand.proofs.count == 5 && Set(stand.proofs.map(\.nonce)).count == 5)
  }

  @Test
  func `A registry that is not there is one, and says so in the end`() async throws {
    let system = TestSystem()
    let client = try deviceClient("http://127.0.0.1:1", system)
    let error = await failure { () throws(RegistryClientError) in try await client.whoami() }
    guard case .unreachable = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(system.pauses.count == 3)
  }

  @Test(arguments: [400, 401, 403, 404, 409, 413, 415])
  func `What will not change is not tried again`(status: Int) async throws {
    let stand = StandInDevices([.signed(.problem(status, "any"))])
    let client = try deviceClient(stand.url)
    #expect(
      await failure { () throws(RegistryClientError) in try await client.poll() }?.problem?.status == status)
    #expect(stand.registry.received.count == 1)
  }

  @Test
  func `Cancelling the task ends a request that waits`() async throws {
    let stand = StandInDevices([.silence])
    let client = try deviceClient(stand.url)
    let poll = Task { await failure { () throws(RegistryClientError) in try await client.poll(wait: 30) } }
    var arrivals = stand.registry.arrivals.makeAsyncIterator()
    _ = await arrivals.next()
    poll.cancel()
    #expect(await poll.value == .cancelled)
    let early = Task { () -> RegistryClientError? in
      withUnsafeCurrentTask { $0?.cancel() }
      return await failure { () throws(RegistryClientError) in try await client.poll() }
    }
    #expect(await early.value == .cancelled)
    #expect(stand.registry.received.count == 1)
  }
}
