import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Idempotency keys") struct Idempotency {
    /// The body's bytes are the same each time: a dictionary's order might not be.
    private func post(
      _ registry: TestRegistry, _ path: String, token: String, key: String, _ json: String
    ) async throws -> HTTPAnswer {
      let answer = try await registry.client.send(
        "POST", path,
        fields: [
          ("Authorization", "Bearer \(token)"), ("Content-Type", "application/json"), ("Idempotency-Key", key),
        ], body: Array(json.utf8))
      registry.check(answer, to: "POST", path)
      return answer
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A repeated signal is sent once, and both answers are the same`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let signal = #"{"payload": {"a": 1}, "all": true}"#
      let first = try await post(registry, "/api/v1/signals", token: owner.token, key: "k1", signal)
      let second = try await post(registry, "/api/v1/signals", token: owner.token, key: "k1", signal)
      #expect(first.status == 201 && second.status == 201, "\(second.text)")
      #expect(first.text == second.text)
      #expect(first.value(of: "location") == second.value(of: "location"))
      #expect(first.value(of: "idempotency-replayed") == nil)
      #expect(second.value(of: "idempotency-replayed") == "true")
      #expect(try await registry.polledIDs(device).count == 1)
      let third = try await post(registry, "/api/v1/signals", token: owner.token, key: "k2", signal)
      #expect(third.status == 201 && third.body != first.body)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Sixteen at once make one`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<16 {
          group.addTask {
            try await post(
              registry, "/api/v1/devices", token: owner.token, key: "one", #"{"device_name": "EA"}"#
            ).status
          }
        }
        return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
      }
      #expect(statuses == [201: 1, 409: 15])
      let devices = try await registry.ask("GET", "/api/v1/devices", as: owner).array()
      #expect(devices.count == 1)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A repeated registration or rotation does nothing, and names the device whose secret was shown`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let first = try await post(
        registry, "/api/v1/devices", token: owner.token, key: "r", #"{"device_name": "EA"}"#)
      let id = try #require(try first.object()["id"] as? String)
      let again = try await post(
        registry, "/api/v1/devices", token: owner.token, key: "r", #"{"device_name": "EA"}"#)
      #expect(again.status == 409 && again.text.contains("/secret-already-shown"))
      #expect(try again.object()["device_id"] as? String == id)
      let path = "/api/v1/devices/\(id)/rotate"
      #expect(try await post(registry, path, token: owner.token, key: "s", "{}").status == 200)
      let rotatedAgain = try await post(registry, path, token: owner.token, key: "s", "{}")
      #expect(rotatedAgain.status == 409 && rotatedAgain.text.contains("/secret-already-shown"))
      let events = try await registry.feed(of: owner, count: 3)
      #expect(events.types == ["client.created", "device.registered", "device.secret_rotated"])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An administrator's client is added once`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let key = UUID().uuidString
      let first = try await post(
        registry, "/api/v1/clients", token: TestRegistry.administrator, key: key, #"{"telegram_id": 7}"#)
      let second = try await post(
        registry, "/api/v1/clients", token: TestRegistry.administrator, key: key, #"{"telegram_id": 7}"#)
      #expect(first.status == 201 && second.status == 201 && first.body == second.body)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Another body or path with the same key is 422, and another client's key is its own`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      let name = #"{"device_name": "EA"}"#
      #expect(try await post(registry, "/api/v1/devices", token: owner.token, key: "k", name).status == 201)
      let otherBody = try await post(
        registry, "/api/v1/devices", token: owner.token, key: "k", #"{"device_name": "EB"}"#)
      #expect(otherBody.status == 422 && otherBody.text.contains("/idempotency-mismatch"))
      let otherPath = try await post(
        registry, "/api/v1/signals", token: owner.token, key: "k", #"{"payload": {}, "all": true}"#)
      #expect(otherPath.status == 422)
      #expect(try await post(registry, "/api/v1/devices", token: other.token, key: "k", name).status == 201)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A request that failed does not use its key`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let taken = try await registry.newDevice(of: owner, "EA")
      let refused = try await post(
        registry, "/api/v1/devices", token: owner.token, key: "k", #"{"device_name": "EA"}"#)
      #expect(refused.status == 409 && refused.text.contains("/device-name-taken"))
      _ = try await registry.ask("POST", "/api/v1/devices/\(taken["id"]!)/revoke", as: owner)
      let made = try await post(
        registry, "/api/v1/devices", token: owner.token, key: "k", #"{"device_name": "EA"}"#)
      #expect(made.status == 201)
    }

    @Test(arguments: ["", String(repeating: "k", count: 65), "two words", "ü"])
    func `A malformed key is 400`(_ key: String) async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let answer = try await post(
        registry, "/api/v1/devices", token: owner.token, key: key, #"{"device_name": "EA"}"#)
      #expect(answer.status == 400 && answer.text.contains("Idempotency-Key"), "\(answer.text)")
    }
  }
}
