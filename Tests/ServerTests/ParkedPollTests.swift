import Foundation
import Glibc
import Registry
import Server
import TestSupport
import Testing

/// A poll that waits, and all that ends it.
@Suite("A parked poll", .serialized) struct ParkedPollTests {
  /// A device whose poll waits for longer than a test may take, and whose answer must be signed.
  private func withParkedPoll(
    _ kind: DatabaseKind, _ body: (TestRegistry, TestOwner, TestDevice) async throws -> Void
  ) async throws -> HTTPAnswer {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      async let parked = Self.park(device, at: registry)
      try await registry.untilParked(1)
      try await body(registry, owner, device)
      return try await parked
    }
  }

  /// Whatever ends it, it is not the time that it may wait.
  private static func park(
    _ device: TestDevice, at registry: TestRegistry, wait: Int = 25
  ) async throws -> HTTPAnswer {
    let start = ContinuousClock.now
    let answer = try await registry.poll(device, query: "?wait=\(wait)")
    #expect(ContinuousClock.now - start < .seconds(wait), "it ended with its time")
    return answer
  }

  private static func signals(_ answer: HTTPAnswer) throws -> [String] {
    (try answer.object()["signals"] as? [[String: Any]] ?? []).map { $0["id"] as! String }
  }

  private static func park(token: String, at registry: TestRegistry) async throws -> HTTPAnswer {
    let start = ContinuousClock.now
    let answer = try await registry.ask("GET", "/api/v1/device/poll?wait=25", token: token)
    #expect(ContinuousClock.now - start < .seconds(25), "it ended with its time")
    return answer
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A signal wakes it`(_ kind: DatabaseKind) async throws {
    var sent = ""
    let answer = try await withParkedPoll(kind) { registry, owner, _ in
      sent = try await registry.newSignal(of: owner)
    }
    #expect(answer.status == 200)
    #expect(try Self.signals(answer) == [sent])
  }

  @Test(arguments: DatabaseKind.allCases)
  func `It is answered empty when its time is over`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let start = ContinuousClock.now
      let answer = try await registry.poll(device, query: "?wait=1")
      #expect(try answer.status == 200 && Self.signals(answer).isEmpty)
      #expect(answer.value(of: "retry-after") == nil)
      #expect(ContinuousClock.now - start >= .milliseconds(990))
    }
  }

  @Test(arguments: DatabaseKind.allCases, [0, 25])
  func `A newer poll of its device ends it, whether that one waits or not`(
    _ kind: DatabaseKind, _ wait: Int
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      async let older = Self.park(device, at: registry)
      try await registry.untilParked(1)
      async let newer = registry.poll(device, query: "?wait=\(wait)")
      let answer = try await older
      #expect(try answer.status == 200 && Self.signals(answer).isEmpty)
      let sent = try await registry.newSignal(of: owner)
      #expect(try await Self.signals(newer) == (wait == 0 ? [] : [sent]))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `With too many parked polls, one more ends the oldest of the client that has most, with Retry-After`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind), bounds: { $0.maxParkedPolls = 2 }) { registry in
      let (noisy, quiet) = (try await registry.newOwner(), try await registry.newOwner())
      let first = try await registry.newSignedDevice(of: noisy)
      let second = try await registry.newSignedDevice(of: noisy)
      let other = try await registry.newSignedDevice(of: quiet)
      async let oldest = Self.park(first, at: registry)
      try await registry.untilParked(1)
      async let newest = Self.park(second, at: registry)
      try await registry.untilParked(2)
      async let parked = Self.park(other, at: registry)
      let answer = try await oldest
      #expect(try answer.status == 200 && Self.signals(answer).isEmpty)
      #expect(answer.value(of: "retry-after") == "1")
      #expect(try await registry.metric("parked_polls") == 2)
      // With one each, a client takes no other's seat.
      async let next = Self.park(first, at: registry)
      #expect(try await newest.value(of: "retry-after") == "1")
      let quiets = try await registry.newSignal(of: quiet)
      #expect(try await Self.signals(parked) == [quiets])
      let noisys = try await registry.newSignal(of: noisy)
      #expect(try await Self.signals(next) == [noisys])
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The end of the service answers it, empty and signed`(_ kind: DatabaseKind) async throws {
    let parked = try await TestRegistry.with(TestDatabase(kind)) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let parked = Task { try await Self.park(device, at: registry) }
      try await registry.untilParked(1)
      return parked
    }
    let answer = try await parked.value
    #expect(try answer.status == 200 && Self.signals(answer).isEmpty)
  }

  enum End: CaseIterable {
    case revocation, suspension, suspensionOfClient, removal, rotationAtOnce, useOfNewSecret, tokenForNewSecret,
      graceThatBeganLater
    case revocationByHand, hashByHand, deletionByHand, suspensionByHand, expiryByHand, suspensionOfClientByHand

    /// What the device learns.
    var kind: String {
      switch self {
      case .revocation, .revocationByHand: "device-revoked"
      case .suspension, .suspensionByHand: "device-suspended"
      case .expiryByHand: "device-expired"
      case .suspensionOfClient, .suspensionOfClientByHand: "client-suspended"
      default: "signature-invalid"
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases, End.allCases)
  func `It is refused when its device or its secret ends`(_ kind: DatabaseKind, _ end: End) async throws {
    let answer = try await withParkedPoll(kind) { registry, owner, device in
      let (yes, no) = kind == .postgres ? ("true", "false") : ("1", "0")
      func byHand(_ sql: String) async throws {
        _ = try await registry.database.first("\(sql) WHERE id = '\(device.id)' RETURNING id")
      }
      switch end {
      case .revocation: try await registry.revoke(device, of: owner)
      case .suspension:
        let path = "/api/v1/devices/\(device.id)/suspend"
        #expect(try await registry.ask("POST", path, as: owner).status == 200)
      case .suspensionOfClient:
        let path = "/api/v1/clients/\(owner.id)/suspend"
        #expect(try await registry.ask("POST", path, token: TestRegistry.administrator).status == 200)
      case .removal:
        let path = "/api/v1/clients/\(owner.id)"
        let removal = try await registry.ask("DELETE", path, token: TestRegistry.administrator)
        #expect(removal.status == 204)
      case .rotationAtOnce: _ = try await registry.rotate(device, of: owner, graceSeconds: 0)
      case .useOfNewSecret:
        #expect(try await registry.whoami(registry.rotate(device, of: owner).device).status == 200)
      case .tokenForNewSecret: _ = try await registry.newToken(of: registry.rotate(device, of: owner).device)
      case .graceThatBeganLater: _ = try await registry.rotate(device, of: owner, graceSeconds: 1)
      case .revocationByHand: try await byHand("UPDATE devices SET revoked = \(yes), is_active = \(no)")
      case .hashByHand: try await byHand("UPDATE devices SET hmac_key_hash = hmac_key_hash || 'x'")
      case .deletionByHand: try await byHand("DELETE FROM devices")
      case .suspensionByHand: try await byHand("UPDATE devices SET suspended_at = created_at")
      case .expiryByHand: try await byHand("UPDATE devices SET expires_at = created_at")
      case .suspensionOfClientByHand:
        let sql = "UPDATE clients SET suspended_at = created_at WHERE id = '\(owner.id)' RETURNING id"
        _ = try await registry.database.first(sql)
      }
    }
    #expect(try TestRegistry.kind(answer) == end.kind)
    #expect(answer.status == (end.kind == "signature-invalid" ? 401 : 403))
  }

  @Test(arguments: DatabaseKind.allCases)
  func `It is refused when a grace ends that ran when it came`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let new = try await registry.rotate(device, of: owner, graceSeconds: 600).device
      registry.clock.advance(seconds: 598)
      let answer = try await Self.park(device, at: registry)
      #expect(answer.status == 401)
      #expect(try TestRegistry.kind(answer) == "signature-invalid")
      #expect(try await registry.poll(new).status == 200)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `It is refused when its device expires, with a signature or a token`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let token = try await registry.newToken(of: device)
      try await registry.set(
        device, "expires_at = \(registry.database.literal(of: registry.clock.now() + 2000))")
      async let signed = Self.park(device, at: registry)
      try await registry.untilParked(1)
      let answer = try await signed
      #expect(answer.status == 403)
      #expect(try TestRegistry.kind(answer) == "device-expired")
      try await registry.set(
        device, "expires_at = \(registry.database.literal(of: registry.clock.now() + 2000))")
      let withToken = try await Self.park(token: token, at: registry)
      #expect(withToken.status == 401)
      #expect(try TestRegistry.kind(withToken) == "token-invalid")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `It is refused when its token ends, by time or with the secret that it was issued on`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let first = try await registry.newToken(of: device)
      registry.clock.advance(seconds: 898)
      let expired = try await Self.park(token: first, at: registry)
      #expect(expired.status == 401)
      #expect(try TestRegistry.kind(expired) == "token-invalid")

      let second = try await registry.newToken(of: device)
      async let parked = Self.park(token: second, at: registry)
      try await registry.untilParked(1)
      #expect(try await registry.poll(registry.rotate(device, of: owner).device).status == 200)
      let ended = try await parked
      #expect(ended.status == 401)
      #expect(try TestRegistry.kind(ended) == "token-invalid")
    }
  }

  enum HangUp: CaseIterable { case end, reset, halfClose, endBehindOtherRequests }

  @Test(arguments: DatabaseKind.allCases, HangUp.allCases)
  func `It leaves its seat at once when its client hangs up`(
    _ kind: DatabaseKind, _ hangUp: HangUp
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind), bounds: { $0.maxParkedPolls = 1 }) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let token = try await registry.newToken(of: device)
      let port = registry.client.port
      let socket = try ClientSocket(port: port, deadline: Date(timeIntervalSinceNow: 30))
      let head = "Host: 127.0.0.1:\(port)\r\nAuthorization: Bearer \(token)\r\n\r\n"
      socket.write(Array("GET /api/v1/device/poll?wait=25 HTTP/1.1\r\n\(head)".utf8))
      try await registry.untilParked(1)
      if hangUp == .endBehindOtherRequests {
        // More than is kept after a request in progress, and less than fits into the system's buffers besides: what they do
        // not take in would hold back the end.
        for _ in 0..<500 { socket.write(Array("GET /api/v1/device/whoami HTTP/1.1\r\n\(head)".utf8)) }
      }
      let start = ContinuousClock.now
      socket.hangUp(hangUp)
      try await registry.untilParked(0)
      #expect(ContinuousClock.now - start < .seconds(20), "it ended with its time")
      // The one seat is another device's.
      let other = try await registry.newSignedDevice(of: owner)
      async let parked = Self.park(other, at: registry)
      try await registry.untilParked(1)
      let sent = try await registry.newSignal(of: owner)
      #expect(try await Self.signals(parked) == [sent])
      withExtendedLifetime(socket) {}
    }
  }
}

extension ClientSocket {
  fileprivate func hangUp(_ way: ParkedPollTests.HangUp) {
    switch way {
    case .halfClose: shutdown(descriptor, Int32(SHUT_WR))
    case .end, .endBehindOtherRequests: shutdown(descriptor, Int32(SHUT_RDWR))
    case .reset: reset()
    }
  }
}
