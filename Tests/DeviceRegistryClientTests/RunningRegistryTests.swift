import DeviceRegistryClient
import Foundation
import TestSupport
import Testing

/// The library and the service together.
@Suite("Against the running service")
struct RunningRegistryTests {
  private let directory = TemporaryDirectory()

  @Test
  func `An owner registers, lists, reads, renames and revokes`() async throws {
    let registry = try await RunningRegistry.start(clients: ["alice", "bob"], in: directory)
    let alice = try OwnerClient(url: registry.url, token: try await registry.token("alice"))
    let first = try await alice.register(name: "EA-Main")
    let second = try await alice.register(name: "EA-Other")
    #expect(try first.credentials().id == first.device.id && first.device.clientID == "alice")
    #expect(try await alice.listDevices().map(\.id) == [first.device.id, second.device.id])
    #expect(try await alice.rename(first.device.id, to: "EA-Café").name == "EA-Café")
    #expect(try await alice.device(first.device.id).name == "EA-Café")
    try await alice.revoke(first.device.id)
    try await alice.revoke(first.device.id)
    let revoked = try await alice.device(first.device.id)
    #expect(revoked.isRevoked && !revoked.isActive)

    let taken = await failure { () throws(RegistryClientError) in try await alice.register(name: "EA-Other") }
    #expect(taken?.problem?.kind == "device-name-taken" && taken?.problem?.status == 409)
    let empty = await failure { () throws(RegistryClientError) in try await alice.register(name: " ") }
    #expect(empty?.problem?.errors.map(\.field) == ["device_name"])
    let bob = try OwnerClient(url: registry.url, token: try await registry.token("bob"))
    let foreign = await failure { () throws(RegistryClientError) in try await bob.device(second.device.id) }
    #expect(foreign?.problem?.status == 403)
    let stranger = try OwnerClient(url: registry.url, token: "none")
    let refused = await failure { () throws(RegistryClientError) in try await stranger.listDevices() }
    #expect(refused?.problem?.status == 401)
  }

  @Test
  func `A terminal enrols, says where it runs, and has the device alone until another takes over`() async throws
  {
    let registry = try await RunningRegistry.start(clients: ["alice"], in: directory)
    let alice = try OwnerClient(url: registry.url, token: try await registry.token("alice"))
    let codes = try await alice.createEnrolments(
      deviceName: "EA-London", labels: ["role": "primary"], deviceExpiresAt: Date(timeIntervalSince1970: 4e9))
    let listed = try #require(try await alice.enrolments().all().first)
    #expect(listed.labels == ["role": "primary"] && listed.deviceExpiresAt == Date(timeIntervalSince1970: 4e9))
    let enrolled = try await DeviceClient.enrol(url: registry.url, code: codes[0].code, idempotencyKey: "k")
    #expect(enrolled.device.name == "EA-London" && enrolled.device.labels == ["role": "primary"])
    let again = await failure { () throws(RegistryClientError) in
      try await DeviceClient.enrol(url: registry.url, code: codes[0].code, idempotencyKey: "k")
    }
    #expect(again?.problem?.kind == "secret-already-shown" && again?.problem?.deviceID == enrolled.device.id)
    let used = await failure { () throws(RegistryClientError) in
      try await DeviceClient.enrol(url: registry.url, code: codes[0].code)
    }
    #expect(used?.problem?.kind == "enrolment-invalid")

    let id = enrolled.device.id
    func terminal(_ instance: String?) throws(RegistryClientError) -> DeviceClient {
      try DeviceClient(url: registry.url, credentials: enrolled.credentials(), instance: instance)
    }
    let (one, two) = (try terminal("terminal-1"), try terminal(DeviceClient.newInstance()))
    let context = DeviceContext(
      account: .init(login: "7", server: "Broker-Demo", mode: .demo),
      terminal: .init(name: "MT5", build: "4410"),
      program: .init(name: "EA", version: "1.0", magic: "9"))
    try await one.setContext(context)
    _ = try await one.poll()
    let refused = await failure { () throws(RegistryClientError) in try await two.poll() }?.problem
    #expect(refused?.kind == "device-in-use" && refused?.since != nil && refused?.lastPoll != nil)
    let shown = try await alice.device(id)
    #expect(shown.instance?.id == "terminal-1" && shown.context == context && shown.boundAccount == nil)
    _ = try await two.poll(takesOver: true)
    #expect(await failure { () throws(RegistryClientError) in try await one.poll() }?.problem?.status == 409)
    try await two.release()
    _ = try await one.poll()

    let account = TradingAccount(login: "8", server: "Broker-Live")
    #expect(try await alice.change(id, DeviceChange(boundAccount: account)).boundAccount == account)
    #expect(
      await failure { () throws(RegistryClientError) in try await one.poll() }?.problem?.kind
        == "account-not-bound")
    #expect(try await alice.change(id, DeviceChange(boundAccount: .some(nil))).boundAccount == nil)
    _ = try await one.poll()
  }

  @Test
  func `A malformed instance, and a takeover or a release without one, are not sent`() async throws {
    let credentials = try DeviceCredentials(
      id: "0190a5c2-7d3e-7b1a-8c4d-5e6f70819203", secret: String(repeating: "a", count: 64))
    for instance in ["short", "with space", "a&takeover=1", String(repeating: "a", count: 65)] {
      #expect(throws: RegistryClientError.self) {
        try DeviceClient(url: "http://127.0.0.1:1", credentials: credentials, instance: instance)
      }
    }
    let client = try DeviceClient(url: "http://127.0.0.1:1", credentials: credentials)
    for error in [
      await failure { () throws(RegistryClientError) in try await client.poll(takesOver: true) },
      await failure { () throws(RegistryClientError) in try await client.release() },
    ] {
      guard case .invalidArgument = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
  }

  @Test
  func `An owner asks why a signature does not verify`() async throws {
    let registry = try await RunningRegistry.start(clients: ["alice"], in: directory)
    let alice = try OwnerClient(url: registry.url, token: try await registry.token("alice"))
    let device = try await alice.register(name: "EA").device
    let diagnosis = try await alice.diagnose(
      device: device.id, method: "POST", target: "/api/v1/device/ack",
      fields: [("Signature-Input", "sig1=(\"@method\")"), ("Signature", "sig1=:AA==:")], body: Data("{}".utf8))
    #expect(!diagnosis.verifies && diagnosis.findings.contains { $0.part == "signature" })
    let unsigned = try await alice.diagnose(device: device.id, method: "GET", target: "/", fields: [])
    #expect(unsigned.findings.map(\.part) == ["signature-input"] && unsigned.signatureBase == nil)
  }
}
