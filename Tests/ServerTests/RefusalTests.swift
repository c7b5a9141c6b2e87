import Foundation
import Registry
import TestSupport
import Testing

/// Why a device that proves its secret is refused.
enum HeldBack: String, CaseIterable {
  case revoked, suspended, suspendedUntil, suspendedByHand, expired, clientSuspended

  /// The end of the problem's type.
  var kind: String {
    switch self {
    case .revoked: "device-revoked"
    case .suspended, .suspendedUntil, .suspendedByHand: "device-suspended"
    case .expired: "device-expired"
    case .clientSuspended: "client-suspended"
    }
  }

  /// The members that the problem has beside the usual ones.
  func members(_ end: Timestamp) -> [String: NSObject] {
    switch self {
    case .revoked: [:]
    case .suspended: ["reason": "invoice 7" as NSString, "until": NSNull()]
    case .suspendedUntil: ["reason": "invoice 7" as NSString, "until": end.description as NSString]
    case .suspendedByHand: ["reason": NSNull(), "until": NSNull()]
    case .expired: ["expires_at": end.description as NSString]
    case .clientSuspended: ["reason": "invoice 8" as NSString]
    }
  }

  /// Brings the device into the state, and returns the time that the state has.
  @discardableResult
  func begin(for device: TestDevice, at registry: TestRegistry) async throws -> Timestamp {
    let database = registry.database
    let (past, future) = (registry.clock.now() + -60_000, registry.clock.now() + 3_600_000)
    switch self {
    case .revoked: try await registry.set(device, "revoked = \(database.yes), is_active = \(database.no)")
    case .suspended:
      try await registry.set(device, "suspended_at = created_at, status_reason = 'invoice 7'")
    case .suspendedUntil:
      try await registry.set(
        device,
        "suspended_at = created_at, suspended_until = \(database.literal(of: future)), status_reason = 'invoice 7'"
      )
      return future
    case .suspendedByHand: try await registry.set(device, "is_active = \(database.no)")
    case .expired:
      try await registry.set(device, "expires_at = \(database.literal(of: past))")
      return past
    case .clientSuspended:
      _ = try await database.first(
        """
        UPDATE clients SET suspended_at = created_at, status_reason = 'invoice 8'
        WHERE id = (SELECT client_id FROM devices WHERE id = '\(device.id)') RETURNING id
        """)
    }
    return future
  }
}

extension TestDatabase {
  var yes: String { kind == .postgres ? "true" : "1" }
  var no: String { kind == .postgres ? "false" : "0" }

  /// A time in SQL.
  func literal(of time: Timestamp) -> String {
    kind == .postgres ? "'\(time)'::timestamptz" : String(time.millisecondsSince1970)
  }
}

extension TestRegistry {
  /// Sets columns of a device with hand-written SQL.
  func set(_ device: TestDevice, _ columns: String) async throws {
    let id = try await database.first("UPDATE devices SET \(columns) WHERE id = '\(device.id)' RETURNING id")
    try #require(id == device.id)
  }
}

/// A device that proves its secret learns the truth; nobody else learns anything.
@Suite("A device that may not be used") struct RefusalTests {
  @Test(arguments: DatabaseKind.allCases, HeldBack.allCases)
  func `learns why, in a signed 403, on every route, cached or not`(
    _ kind: DatabaseKind, _ state: HeldBack
  ) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      #expect(try await registry.poll(device).status == 200)
      let time = try await state.begin(for: device, at: registry)
      try await registry.until("the change is in force") { try await registry.refusal(of: device) != nil }
      for _ in 0..<2 {
        for answer in [
          try await registry.poll(device), try await registry.poll(device, query: "?wait=20"),
          try await registry.whoami(device), try await registry.ack(device, []),
        ] {
          #expect(answer.status == 403)
          #expect(try TestRegistry.kind(answer) == state.kind)
          let problem = try answer.object().filter { ["reason", "until", "expires_at"].contains($0.key) }
          #expect(problem as NSDictionary == state.members(time) as NSDictionary)
        }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases, HeldBack.allCases)
  func `gets no token, and its tokens end`(_ kind: DatabaseKind, _ state: HeldBack) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let token = try await registry.newToken(of: device)
      #expect(try await registry.ask("GET", "/api/v1/device", token: token).status == 200)
      try await state.begin(for: device, at: registry)
      try await registry.until("the change is in force") { try await registry.refusal(of: device) != nil }
      let ended = try await registry.ask("GET", "/api/v1/device", token: token)
      #expect(ended.status == 401)
      #expect(try TestRegistry.kind(ended) == "token-invalid")
      let refused = try await registry.askToken(device)
      #expect(refused.status == 401)
      #expect(try refused.string("error") == "invalid_client")
      let description = try #require(try refused.string("error_description"))
      let word = ["device-revoked": "revoked", "device-expired": "expired"][state.kind] ?? "suspended"
      #expect(description.contains(word), "\(description)")
      #expect(
        description.contains("invoice") == [.suspended, .suspendedUntil, .clientSuspended].contains(state))
      let wrong = try await registry.askToken(
        TestDevice(id: device.id, secret: String(repeating: "0", count: 64)))
      #expect(try wrong.string("error_description")?.hasPrefix("Unknown device, or wrong secret") == true)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `uses up its nonce, and its limit`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind), settings: ["RATE_LIMIT_DEVICE": "4/3600"]) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      try await HeldBack.suspended.begin(for: device, at: registry)
      let request = try registry.request("GET", "/api/v1/device")
      #expect(try await registry.ask(request, as: device).status == 403)
      let again = try await registry.send(request, as: device)
      #expect(try again.status == 401 && TestRegistry.kind(again) == "replayed")
      for _ in 0..<3 { #expect(try await registry.whoami(device).status == 403) }
      #expect(try await registry.send(registry.request("GET", "/api/v1/device"), as: device).status == 429)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `may be used again when its suspension ends, without any write`(_ kind: DatabaseKind) async throws {
    let clock = TestClock()
    clock.stop()
    try await TestRegistry.with(TestDatabase(kind), clock: clock) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      try await HeldBack.suspendedUntil.begin(for: device, at: registry)
      clock.advance(milliseconds: 3_599_999)
      #expect(try await registry.refusal(of: device) == "device-suspended")
      clock.advance(milliseconds: 1)
      #expect(try await registry.refusal(of: device) == nil)
      #expect(try await registry.askToken(device).status == 200)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `learns the worst that applies`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      for state in [HeldBack.expired, .suspended, .clientSuspended, .revoked] {
        try await state.begin(for: device, at: registry)
        try await registry.until("\(state)") { try await registry.refusal(of: device) == state.kind }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `keeps a new secret pending that it signs with meanwhile`(_ kind: DatabaseKind) async throws {
    try await TestRegistry.with(TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let new = try await registry.rotate(device, of: owner).device
      try await HeldBack.suspended.begin(for: device, at: registry)
      try await registry.until("suspended") { try await registry.refusal(of: device) == "device-suspended" }
      #expect(try await registry.refusal(of: new) == "device-suspended")
      #expect(try await registry.askToken(new).string("error_description")?.contains("suspended") == true)
      try await registry.set(device, "suspended_at = NULL")
      try await registry.until("resumed") { try await registry.refusal(of: device) == nil }
      #expect(try await registry.refusal(of: new) == nil)
      #expect(try await registry.refusal(of: device) == "signature-invalid")
    }
  }
}
