import Foundation
import RequestSignature
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Signed requests") struct SignedRequests {
    @Test(arguments: DatabaseKind.allCases)
    func `A device polls, and the answer is signed`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let answer = try await registry.poll(device)
      #expect(answer.status == 200)
      #expect((try answer.object()["signals"] as? [Any])?.isEmpty == true)
      #expect(answer.value(of: "cache-control") == "no-store, no-transform")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device sees itself`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let answer = try await registry.ask(.init("GET", "/api/v1/device"), as: device)
      #expect(answer.status == 200)
      #expect(try answer.string("id") == device.id)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A signal reaches the device until it is acknowledged`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.polledIDs(device) == [])
      let first = try await registry.newSignal(of: owner, to: [device])
      let second = try await registry.newSignal(of: owner)
      #expect(try await registry.polledIDs(device) == [first, second])
      #expect(try await registry.polledIDs(device, query: "?max=1") == [first])
      let ack = try await registry.ack(
        device, [["signal_id": first, "status": "placed", "broker_ticket": "77"]])
      #expect(try ack.object()["acked"] as? [String] == [first])
      #expect(try await registry.polledIDs(device) == [second])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A parked poll wakes when a signal comes`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      async let parked = registry.polledIDs(device, query: "?wait=20")
      // Whether the poll is parked by then or not, it must find the signal.
      let id = try await registry.newSignal(of: owner, to: [device])
      #expect(try await parked == [id])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A revoked device is refused`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.poll(device).status == 200)
      #expect(try await registry.ask("POST", "/api/v1/devices/\(device.id)/revoke", as: owner).status == 204)
      let answer = try await registry.poll(device)
      #expect(answer.status == 403)
      #expect(try TestRegistry.kind(answer) == "device-revoked")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A nonce counts once, also of sixteen at once`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      let nonce = request.nonce
      let created = request.created
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<16 {
          group.addTask {
            var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
            request.nonce = nonce
            request.created = created
            return try await registry.send(request, as: device).status
          }
        }
        return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
      }
      #expect(statuses == [200: 1, 401: 15])
    }
  }
}
