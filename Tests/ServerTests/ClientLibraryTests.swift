import DeviceRegistryClient
import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  /// The client library, the command and the example, and the service itself.
  @Suite("What devices are built with") struct ClientLibrary {
    private static func client(
      _ device: TestDevice, at registry: TestRegistry, _ system: ClientSystem = ClientSystem()
    ) throws -> DeviceClient {
      try DeviceClient(
        url: "http://127.0.0.1:\(registry.client.port)",
        credentials: DeviceCredentials(id: device.id, secret: device.secret), system: system)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The library sees itself, polls and acknowledges`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner, "EA-Library")
      let client = try Self.client(device, at: registry)
      let status = try await client.whoami()
      #expect(status.device.id == device.id && status.device.name == "EA-Library")
      #expect(abs(status.serverTime.timeIntervalSinceNow) < 60)
      #expect(try await client.poll().signals.isEmpty)
      let id = try await registry.newSignal(of: owner, payload: ["symbol": "EURUSD"])
      let signals = try await client.poll(wait: 20, max: 5).signals
      #expect(signals.map(\.id) == [id])
      #expect(try signals.first?.payload.decode(as: [String: String].self) == ["symbol": "EURUSD"])
      let acknowledged = try await client.acknowledge([
        Acknowledgement(signalID: id, status: .placed, brokerTicket: "7"),
        Acknowledgement(signalID: UUID().uuidString.lowercased(), status: .skipped),
      ])
      #expect(acknowledged.acknowledged == [id] && acknowledged.unknown.count == 1)
      #expect(try await client.poll().signals.isEmpty)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A clock that is hours off is corrected from the registry's answer, once`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      var system = ClientSystem()
      system.now = { ClientSystem.wallClock() - 23 * 60 * 60 * 1000 }
      let client = try Self.client(device, at: registry, system)
      func refusals() async throws -> Double? {
        try await registry.metric(
          #"http_requests_total{route="/api/v1/device",method="GET",status="401"}"#)
      }
      let before = try await refusals() ?? 0
      for _ in 0..<3 { #expect(try await client.whoami().device.id == device.id) }
      // Others ask here too, and are refused: at least ours was, and not each time.
      let after = try #require(try await refusals())
      #expect(after >= before + 1)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A service that started without nonces is asked again, when it says, until it answers`(
      _ kind: DatabaseKind
    )
      async throws
    {
      let database = await TestDatabase(kind)
      let clock = TestClock()
      clock.stop()
      let device = try await TestRegistry.with(database, clock: clock) { registry in
        try await registry.newSignedDevice(of: registry.newOwner())
      }
      database.loseNonces()
      try await TestRegistry.with(database, clock: clock) { registry in
        var system = ClientSystem()
        system.now = { clock.millisecondsSince1970 }
        system.sleep = { clock.advance(seconds: $0.components.seconds + 1) }
        let start = clock.secondsSince1970
        let status = try await Self.client(device, at: registry, system).whoami()
        #expect(status.device.id == device.id)
        #expect((6...30).contains(clock.secondsSince1970 - start))
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The loop hands signals out as they come, and ends when the device is revoked`(_ kind: DatabaseKind)
      async throws
    {
      try await TestRegistry.with(TestDatabase(kind)) { registry in
        let owner = try await registry.newOwner()
        let device = try await registry.newSignedDevice(of: owner)
        let client = try Self.client(device, at: registry)
        var sent = [try await registry.newSignal(of: owner), try await registry.newSignal(of: owner)]
        var iterator = client.signals().makeAsyncIterator()
        for id in sent {
          #expect(try await iterator.next()?.id == id)
          try await client.acknowledge([Acknowledgement(signalID: id, status: .placed)])
        }
        let loop = Task {
          var received: [String] = []
          do {
            for try await signal in client.signals() {
              received.append(signal.id)
              try await client.acknowledge([Acknowledgement(signalID: signal.id, status: .failed)])
            }
            return (received, nil as RegistryClientError?)
          } catch {
            return (received, error as? RegistryClientError)
          }
        }
        try await registry.untilParked(1)
        sent = [try await registry.newSignal(of: owner)]
        try await registry.until("the signal is acknowledged") {
          try await registry.ask("GET", "/api/v1/signals/\(sent[0])", as: owner).text.contains("failed")
        }
        try await registry.untilParked(1)
        try await registry.revoke(device, of: owner)
        let (received, error) = await loop.value
        #expect(received == sent)
        guard case .problem(let problem)? = error else {
          Issue.record("\(String(describing: error))")
          return
        }
        #expect(problem.status == 403 && problem.kind == "device-revoked")
      }
    }

    // MARK: The owner

    private static func owner(_ owner: TestOwner, at registry: TestRegistry) throws -> OwnerClient {
      try OwnerClient(url: "http://127.0.0.1:\(registry.client.port)", token: owner.token)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An owner reads the feed from its beginning, and follows it from now on`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let client = try Self.owner(owner, at: registry)
      let device = try await client.register(name: "EA-1").device
      _ = try await registry.feed(of: owner, count: 2)
      let all = try await client.events(types: ["client.created", "device.*"])
      #expect(all.events.map(\.type) == ["client.created", "device.registered"])
      #expect(all.events.last?.deviceID == device.id && all.events.last?.actor.id == owner.id)
      let part = try await client.events(limit: 1)
      #expect(part.events == [all.events[0]])
      #expect(try await client.events(after: part.next).events == [all.events[1]])

      var pages = client.eventPages(after: OwnerClient.now).makeAsyncIterator()
      #expect(try await pages.next()?.events == [])
      try await client.rename(device.id, to: "EA-2")
      try await client.revoke(device.id)
      var seen: [RegistryEvent] = []
      while seen.count < 2, let page = try await pages.next() { seen += page.events }
      #expect(seen.map(\.type) == ["device.updated", "device.revoked"])
      let name = seen.first?.changes?["device_name"]
      #expect(name?.old == .text("EA-1") && name?.new == .text("EA-2"))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The feed ends with a separate error for an expired cursor`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let client = try Self.owner(await registry.newOwner(), at: registry)
      let unknown = Data(repeating: 0x7F, count: 24).base64EncodedString()
        .replacing("+", with: "-").replacing("/", with: "_")
      var pages = client.eventPages(after: unknown).makeAsyncIterator()
      do throws(RegistryClientError) {
        _ = try await pages.next()
        Issue.record("no error")
      } catch {
        guard case .cursorExpired(let problem) = error else {
          Issue.record("\(error)")
          return
        }
        #expect(problem.status == 410 && problem.detail.contains("Begin again without `after`"), "\(problem)")
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An owner's request with a key is done once`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let client = try Self.owner(await registry.newOwner(), at: registry)
      let device = try await client.register(name: "EA-1", idempotencyKey: "a").device
      do throws(RegistryClientError) {
        _ = try await client.register(name: "EA-1", idempotencyKey: "a")
        Issue.record("no error")
      } catch {
        guard case .problem(let problem) = error else {
          Issue.record("\(error)")
          return
        }
        #expect(problem.kind == "secret-already-shown" && problem.deviceID == device.id)
      }
      let sent = try await client.createSignal(to: .all, payload: ["a": 1], idempotencyKey: "b")
      #expect(try await client.createSignal(to: .all, payload: ["a": 1], idempotencyKey: "b") == sent)
      #expect(try await client.listSignals().map(\.id) == [sent.id])
    }

    // MARK: The command and the example

    /// A file with the secret, its owner's alone.
    private static func secretFile(_ device: TestDevice, in directory: TemporaryDirectory) throws -> String {
      let path = "\(directory.path)/secret"
      try #require(
        FileManager.default.createFile(
          atPath: path, contents: Data(device.secret.utf8), attributes: [.posixPermissions: 0o600]))
      return path
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The command says who it is, polls and acknowledges`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner, "EA-Command")
      let directory = TemporaryDirectory()
      let place = [
        "--id", device.id, "--secret-file", try Self.secretFile(device, in: directory), "--url",
        "http://127.0.0.1:\(registry.client.port)",
      ]
      func run(_ arguments: [String]) async throws -> Program.Result {
        try await Program.run(["device"] + arguments + place)
      }
      let whoami = try await run(["whoami"])
      #expect(whoami.status == 0 && whoami.output.contains(#""device_name":"EA-Command""#), "\(whoami.errors)")
      let id = try await registry.newSignal(of: owner)
      let poll = try await run(["poll", "--wait", "20"])
      #expect(poll.status == 0 && poll.output.contains(id), "\(poll.errors)")
      let ack = try await run(["ack", id, "--status", "placed", "--broker-ticket", "42"])
      #expect(ack.output.hasPrefix(#"{"acked":["\#(id)"],"unknown":[],"#), "\(ack.errors)")
      let signal = try await registry.ask("GET", "/api/v1/signals/\(id)", as: owner).text
      #expect(signal.contains(#""broker_ticket":"42""#))
      try await registry.revoke(device, of: owner)
      let refused = try await run(["whoami"])
      #expect(refused.status == 1 && refused.output.isEmpty && refused.errors.contains("revoked, for good"))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The device in plain shell polls and acknowledges`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let directory = TemporaryDirectory()
      let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../examples/device.sh").standardizedFileURL.path
      let id = try await registry.newSignal(of: owner)
      let environment = [
        "ID=\(device.id)", "SECRET_FILE=\(try Self.secretFile(device, in: directory))",
        "URL=http://127.0.0.1:\(registry.client.port)", "PATH=/usr/bin:/bin",
      ]
      let result = try await Program.run([], environment, executable: script)
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.contains(id) && result.output.contains(#"{"acked":["\#(id)"],"unknown":[],"#))
      #expect(try await registry.polledIDs(device) == [])
    }
  }
}
