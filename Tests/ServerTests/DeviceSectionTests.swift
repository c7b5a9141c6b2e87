import Foundation
import RequestSignature
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("What a device is refused for") struct DeviceRefusals {
    @Test(arguments: DatabaseKind.allCases)
    func `Each failure has its type, in the order of the checks`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      func refusal(
        as device: TestDevice = device, _ change: (inout TestDevice.SignedRequest) -> Void
      ) async throws -> String {
        var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
        change(&request)
        let answer = try await registry.send(request, as: device)
        #expect(answer.status == 401 && answer.value(of: "signature") == nil)
        #expect(answer.value(of: "www-authenticate")?.hasPrefix("Bearer") == true)
        return try TestRegistry.kind(answer)
      }
      #expect(try await refusal { $0.tamper = { $0.removeAll() } } == "signature-missing")
      #expect(
        try await refusal { $0.tamper = { $0.removeAll { $0.name == "Signature" } } } == "signature-malformed")
      #expect(try await refusal { $0.created -= 302 } == "clock-skew")
      #expect(try await refusal { $0.created += 63 } == "clock-skew")
      #expect(try await refusal { $0.expires = $0.created - 10 } == "clock-skew")
      let stranger = TestDevice(id: UUID().uuidString.lowercased(), secret: device.secret)
      let wrong = TestDevice(id: device.id, secret: String(repeating: "0", count: 64))
      #expect(try await refusal(as: stranger) { _ in } == "signature-invalid")
      #expect(try await refusal(as: wrong) { _ in } == "signature-invalid")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A changed body or target does not verify`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let request = try TestDevice.SignedRequest("POST", "/api/v1/device/ack", json: ["acks": []])
      let fields =
        try device.fields(of: request, port: registry.client.port).map { ($0.name, $0.value) }
        + [("Content-Type", "application/json")]
      let body = try await registry.client.send(
        "POST", "/api/v1/device/ack", fields: fields, body: Array(#"{"acks":[] }"#.utf8))
      #expect(try TestRegistry.kind(body) == "signature-invalid")
      let poll = try device.fields(of: .init("GET", "/api/v1/device/poll"), port: registry.client.port)
        .map { ($0.name, $0.value) }
      let target = try await registry.client.send("GET", "/api/v1/device", fields: poll)
      #expect(try TestRegistry.kind(target) == "signature-invalid")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Once the device is known, what is wrong is named and signed`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let wait = try await registry.poll(device, query: "?wait=31")
      #expect(wait.status == 400 && wait.text.contains("wait"))
      let status = try await registry.ack(
        device, [["signal_id": UUID().uuidString.lowercased(), "status": "lost"]])
      #expect(status.status == 400 && status.text.contains("acks.0.status"))
      let unknown = UUID().uuidString.lowercased()
      let ack = try await registry.ack(device, [["signal_id": unknown, "status": "skipped", "error": "late"]])
      #expect(try ack.object()["unknown"] as? [String] == [unknown])
    }
  }

  @Suite("Rotation") struct RotationTests {
    @Test(arguments: DatabaseKind.allCases)
    func `The new secret takes over on its first use, and the old one ends`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let old = try await registry.newSignedDevice(of: owner)
      let path = "/api/v1/devices/\(old.id)/rotate"
      let rotated = try await registry.ask("POST", path, as: owner)
      #expect(rotated.status == 200)
      let new = TestDevice(id: old.id, secret: try #require(try rotated.string("secret")))
      #expect(try await registry.poll(old).status == 200)
      #expect(try await registry.poll(new).status == 200)
      #expect(try await registry.send(.init("GET", "/api/v1/device/poll"), as: old).status == 401)
      #expect(try await registry.poll(new).status == 200)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Without a grace the old secret ends at once`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let old = try await registry.newSignedDevice(of: owner)
      let path = "/api/v1/devices/\(old.id)/rotate"
      #expect(try await registry.ask("POST", path, as: owner, json: ["grace_seconds": 86_401]).status == 400)
      let rotated = try await registry.ask("POST", path, as: owner, json: ["grace_seconds": 0])
      let new = TestDevice(id: old.id, secret: try #require(try rotated.string("secret")))
      #expect(try await registry.send(.init("GET", "/api/v1/device/poll"), as: old).status == 401)
      #expect(try await registry.poll(new).status == 200)
      #expect(try await registry.ask("POST", path, as: registry.newOwner()).status == 403)
      _ = try await registry.ask("POST", "/api/v1/devices/\(old.id)/revoke", as: owner)
      #expect(try await registry.ask("POST", path, as: owner).status == 409)
    }
  }

  @Suite("Rotation, further") struct FurtherRotationTests {
    @Test(arguments: DatabaseKind.allCases)
    func `It answers the device with a new secret and its hash, and takes no other grace than there is`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let registered = try await registry.newDevice(of: owner)
      let path = "/api/v1/devices/\(registered["id"]!)/rotate"
      for grace: Any in [-1, 86_401, 1.5, "60", true] {
        let answer = try await registry.ask("POST", path, as: owner, json: ["grace_seconds": grace])
        #expect(answer.status == 400, "\(grace)")
        #expect((try answer.object()["errors"] as? [[String: String]])?.first?["field"] == "grace_seconds")
      }
      for json: Any? in [nil, [String: Any](), ["grace_seconds": NSNull()], ["grace_seconds": 86_400]] {
        let answer = try await registry.ask("POST", path, as: owner, json: json)
        #expect(answer.status == 200)
        let rotated = try answer.object()
        #expect(rotated["id"] as? String == registered["id"] as? String)
        #expect((rotated["secret"] as? String)?.wholeMatch(of: /[0-9a-f]{64}/) != nil)
        #expect((rotated["hmac_key_hash"] as? String)?.hasPrefix("$argon2id$") == true)
        for member in ["secret", "hmac_key_hash"] {
          #expect(rotated[member] as? String != registered[member] as? String)
        }
        let isLeaked = try await registry.database.contains(rotated["secret"] as! String)
        #expect(!isLeaked)
      }
      let unknown = "/api/v1/devices/\(UUID().uuidString.lowercased())/rotate"
      #expect(try await registry.ask("POST", unknown, as: owner).status == 404)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The new secret takes over also where it first buys a token; tokens of the old one end then`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let old = try await registry.newSignedDevice(of: owner)
      let oldToken = try await registry.newToken(of: old)
      let new = try await registry.rotate(old, of: owner).device
      #expect(try await registry.ask("GET", "/api/v1/device", token: oldToken).status == 200)
      #expect(try await registry.refusal(of: old) == nil)
      let newToken = try await registry.newToken(of: new)
      #expect(try await registry.ask("GET", "/api/v1/device", token: newToken).status == 200)
      #expect(try await registry.ask("GET", "/api/v1/device", token: oldToken).status == 401)
      #expect(try await registry.refusal(of: old) == "signature-invalid")
      #expect(try await registry.askToken(old).string("error") == "invalid_client")
      #expect(try await registry.refusal(of: new) == nil)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Of simultaneous requests with a new secret, all succeed, whichever is first`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let new = try await registry.rotate(registry.newSignedDevice(of: owner), of: owner).device
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for index in 0..<16 {
          group.addTask {
            index % 8 == 7
              ? try await registry.askToken(new).status : try await registry.whoami(new).status
          }
        }
        return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
      }
      #expect(statuses == [200: 16])
    }
  }

  @Suite("Device tokens") struct DeviceTokens {
    private func token(
      _ registry: TestRegistry, _ form: String, fields: [(String, String)] = [],
      type: String = "application/x-www-form-urlencoded"
    ) async throws -> HTTPAnswer {
      let answer = try await registry.client.send(
        "POST", "/api/v1/device/token", fields: [("Content-Type", type)] + fields, body: Array(form.utf8))
      registry.check(answer, to: "POST", "/api/v1/device/token")
      return answer
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A secret buys a token, which lets the device in until it is revoked`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let basic = Data("\(device.id):\(device.secret)".utf8).base64EncodedString()
      for answer in [
        try await token(
          registry, "grant_type=client_credentials&client_id=\(device.id)&client_secret=\(device.secret)"),
        try await token(
          registry, "grant_type=client_credentials", fields: [("Authorization", "Basic \(basic)")]),
      ] {
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.value(of: "pragma") == "no-cache" && answer.value(of: "cache-control") == "no-store")
        #expect(try answer.string("token_type") == "Bearer")
        let token = try #require(try answer.string("access_token"))
        for _ in 0..<2 {
          let poll = try await registry.ask("GET", "/api/v1/device/poll", token: token)
          #expect(poll.status == 200 && poll.value(of: "signature") == nil)
        }
        let isLeaked = try await registry.database.contains(token)
        #expect(!isLeaked)
      }
      let last = try #require(
        try await token(
          registry, "grant_type=client_credentials&client_id=\(device.id)&client_secret=\(device.secret)"
        ).string("access_token"))
      _ = try await registry.ask("POST", "/api/v1/devices/\(device.id)/revoke", as: owner)
      let refused = try await registry.ask("GET", "/api/v1/device", token: last)
      #expect(refused.status == 401)
      #expect(try TestRegistry.kind(refused) == "token-invalid")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `What is wrong is said as OAuth has it`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      func error(_ form: String, fields: [(String, String)] = []) async throws -> String? {
        try await token(registry, form, fields: fields).string("error")
      }
      let grant = "grant_type=client_credentials"
      #expect(try await error("client_id=a") == "invalid_request")
      #expect(try await error("grant_type=password") == "unsupported_grant_type")
      #expect(try await error(grant) == "invalid_client")
      #expect(try await error("\(grant)&\(grant)") == "invalid_request")
      #expect(try await error("\(grant)&client_id=\(device.id)&client_secret=0") == "invalid_client")
      let refused = try await token(registry, "\(grant)&client_id=\(device.id)&client_secret=0")
      #expect(refused.status == 401 && refused.value(of: "www-authenticate")?.hasPrefix("Basic ") == true)
      #expect(refused.value(of: "pragma") == "no-cache")
      let wrong = String(repeating: "0", count: 64)
      #expect(try await error("\(grant)&client_id=\(device.id)&client_secret=\(wrong)") == "invalid_client")
      let basic = Data("\(device.id):\(device.secret)".utf8).base64EncodedString()
      #expect(
        try await error("\(grant)&client_secret=\(wrong)", fields: [("Authorization", "Basic \(basic)")])
          == "invalid_request")
      for (status, answer) in [
        (415, try await token(registry, "{}", type: "application/json")),
        (413, try await token(registry, String(repeating: "a", count: 65_537))),
        (405, try await registry.client.send("GET", "/api/v1/device/token")),
      ] {
        #expect(answer.status == status && answer.value(of: "content-type") == "application/json")
        #expect(try answer.string("error") == "invalid_request")
        #expect(try answer.string("error_description")?.isEmpty == false)
      }
    }

    @Test(arguments: DatabaseKind.allCases, ["%0A", "%0D%0A", "%00"])
    func `A line end after the secret is named`(_ kind: DatabaseKind, _ end: String) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let grant = "grant_type=client_credentials"
      let basic = Data("\(device.id):\(device.secret)\(end)".utf8).base64EncodedString()
      for answer in [
        try await token(registry, "\(grant)&client_id=\(device.id)&client_secret=\(device.secret)\(end)"),
        try await token(registry, grant, fields: [("Authorization", "Basic \(basic)")]),
      ] {
        #expect(answer.status == 401)
        #expect(try answer.string("error_description")?.contains("ends with a line break") == true)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A form may be encoded in any way`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let secret = device.secret.utf8.map { "%" + String($0, radix: 16) }.joined()
      let form =
        "&x&client%5Fid=\(device.id.uppercased())&=&grant_type=client%5fcredentials&client_secret=\(secret)&"
      #expect(try await token(registry, form).status == 200)
      for form in ["grant_type=%f", "grant_type=%ff", "grant_type=a&grant%5ftype=b"] {
        #expect(try await token(registry, form).string("error") == "invalid_request")
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device may request at most ten tokens a minute`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let form = "grant_type=client_credentials&client_id=\(device.id)&client_secret=\(device.secret)"
      for _ in 0..<10 { #expect(try await token(registry, form).status == 200) }
      #expect(try await token(registry, form).status == 429)
    }
  }

  @Suite("Signals") struct SignalTests {
    @Test(arguments: DatabaseKind.allCases)
    func `An owner sees what became of a signal`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let (one, two) = (
        try await registry.newSignedDevice(of: owner), try await registry.newSignedDevice(of: owner)
      )
      let id = try await registry.newSignal(of: owner, to: [one, two, one])
      _ = try await registry.ack(one, [["signal_id": id, "status": "failed", "error": "no money"]])
      let signal = try await registry.ask("GET", "/api/v1/signals/\(id)", as: owner)
      let deliveries = try #require(try signal.object()["deliveries"] as? [[String: Any]])
      let states = Dictionary(
        uniqueKeysWithValues: deliveries.map { ($0["device_id"] as! String, $0["state"] as! String) })
      #expect(states == [one.id: "acked", two.id: "pending"])
      let stranger = try await registry.newOwner()
      #expect(try await registry.ask("GET", "/api/v1/signals/\(id)", as: stranger).status == 403)
      #expect(try await registry.ask("GET", "/api/v1/signals/nothing", as: owner).status == 404)
      _ = try await registry.newSignal(of: owner)
      let list = try await registry.ask("GET", "/api/v1/signals?limit=1", as: owner)
      #expect(try list.array().count == 1 && list.value(of: "link") != nil)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A signal to a device that may not have it reaches nobody`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let foreign = try await registry.newSignedDevice(of: registry.newOwner())
      func status(_ json: [String: Any]) async throws -> Int {
        try await registry.ask("POST", "/api/v1/signals", as: owner, json: json).status
      }
      let payload = ["a": 1]
      #expect(try await status(["payload": payload, "device_ids": [device.id, foreign.id]]) == 403)
      #expect(
        try await status(["payload": payload, "device_ids": [device.id, UUID().uuidString.lowercased()]]) == 404
      )
      #expect(try await status(["payload": payload]) == 400)
      #expect(try await status(["payload": [1], "all": true]) == 400)
      #expect(try await status(["payload": payload, "all": true, "device_ids": [device.id]]) == 400)
      #expect(try await status(["payload": payload, "all": true, "ttl_seconds": 0]) == 400)
      #expect(
        try await status(["payload": ["a": String(repeating: "x", count: 16_384)], "all": true]) == 400)
      #expect(try await registry.polledIDs(device) == [])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A parked poll ends when its device is revoked, and when a newer one is there`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      // Each poll ends the one before, whichever of them is parked first.
      async let first = registry.send(.init("GET", "/api/v1/device/poll?wait=25"), as: device)
      async let second = registry.send(.init("GET", "/api/v1/device/poll?wait=25"), as: device)
      let newest = try await registry.poll(device)
      #expect(newest.status == 200)
      #expect(
        try await registry.ask("POST", "/api/v1/devices/\(device.id)/revoke", as: owner).status == 204)
      for answer in [try? await first, try? await second] {
        #expect(answer == nil || [200, 403].contains(answer!.status))
      }
    }
  }
}
