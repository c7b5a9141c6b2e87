import Foundation
import RequestSignature
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Why a signature does not verify") struct DiagnosisSection {
    private func diagnose(
      _ request: TestDevice.SignedRequest, of device: TestDevice, signedBy signer: TestDevice? = nil,
      as owner: TestOwner, _ registry: TestRegistry
    ) async throws -> HTTPAnswer {
      let fields = try (signer ?? device).fields(of: request, port: registry.client.port)
      var json: [String: Any] = [
        "method": request.method, "target": request.target,
        "headers": [["Host", "127.0.0.1:\(registry.client.port)"]] + fields.map { [$0.name, $0.value] },
      ]
      if let body = request.body { json["body_base64"] = Data(body).base64EncodedString() }
      return try await registry.ask("POST", "/api/v1/devices/\(device.id)/diagnose", as: owner, json: json)
    }

    private func findings(_ answer: HTTPAnswer) throws -> [[String: Any]] {
      try #require(answer.status == 200, "\(answer.text)")
      return try #require(try answer.object()["findings"] as? [[String: Any]])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An owner learns whether a request verifies, with the current or the next secret`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let new = try await registry.rotate(device, of: owner).device
      for signer in [device, new] {
        var request = try TestDevice.SignedRequest("POST", "/api/v1/device/ack?x=1", json: ["acks": []])
        request.covering = [.authority]
        let answer = try await diagnose(request, of: device, signedBy: signer, as: owner, registry)
        #expect(try answer.object()["verifies"] as? Bool == true && findings(answer).isEmpty)
        #expect(try answer.string("signature_base")?.hasPrefix("\"@method\": POST\n") == true)
      }
      // It used up no nonce and no secret.
      #expect(try await registry.poll(device).status == 200)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A mistake is named, a wrong secret too`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      var request = TestDevice.SignedRequest("GET", "/api/v1/device/poll")
      request.created *= 1000
      let found = try findings(try await diagnose(request, of: device, as: owner, registry))
      #expect(found.count == 1 && found[0]["part"] as? String == "created")
      #expect(found[0]["verifies_if_changed"] as? Bool == true)
      let wrong = TestDevice(id: device.id, secret: device.secret.uppercased())
      let unexplained = try findings(
        try await diagnose(.init("GET", "/api/v1/device"), of: device, signedBy: wrong, as: owner, registry))
      #expect(unexplained.map { $0["part"] as? String } == ["secret"])
      #expect(unexplained[0]["verifies_if_changed"] as? Bool == false)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Only of the owner's own devices`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      let device = try await registry.newSignedDevice(of: owner)
      let request = TestDevice.SignedRequest("GET", "/api/v1/device")
      let foreign = try await diagnose(request, of: device, as: other, registry)
      #expect(try TestRegistry.kind(foreign) == "not-owner")
      let unknown = TestDevice(id: UUID().uuidString.lowercased(), secret: device.secret)
      let missing = try await diagnose(request, of: unknown, as: owner, registry)
      #expect(try TestRegistry.kind(missing) == "device-not-found")
    }

    @Test(
      arguments: [
        ["headers": [["a"]]], ["headers": [["a", "b", "c"]]], ["body_base64": "?"], ["method": 1],
        ["target": NSNull()],
        ["headers": Array(repeating: ["a", "b"], count: 65)],
      ] as [[String: any Sendable]])
    func `What is no request is 400`(_ change: [String: any Sendable]) async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let json = (["method": "GET", "target": "/", "headers": [[String]]()] as [String: Any])
        .merging(change) { $1 }
      let answer = try await registry.ask(
        "POST", "/api/v1/devices/\(device.id)/diagnose", as: owner, json: json)
      #expect(answer.status == 400, "\(answer.text)")
    }
  }
}
