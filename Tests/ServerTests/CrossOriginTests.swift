@testable import Server
import TestSupport
import Testing

/// Browsers call the API from pages of other origins (CORS).
@Suite struct CrossOriginCalls {
  private static let page = "https://console.example.com"
  private static let allowOrigin = "Access-Control-Allow-Origin"

  private static func preflight(
    _ registry: TestRegistry, from origin: String, _ path: String = "/api/v1/devices"
  ) async throws -> HTTPAnswer {
    try await registry.client.send(
      "OPTIONS", path,
      fields: [
        ("Origin", origin), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type,idempotency-key"),
      ])
  }

  @Test func `The answer to a preflight request of an allowed origin lists what pages may send`() async throws {
    let settings = ["CORS_ALLOWED_ORIGINS": "http://localhost:3000, HTTPS://Console.example.com:443/"]
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: settings) { registry in
      for origin in [Self.page, "http://localhost:3000"] {
        let answer = try await Self.preflight(registry, from: origin)
        #expect(answer.status == 204)
        #expect(answer.value(of: Self.allowOrigin) == origin)
        #expect(answer.value(of: "Vary") == "Origin")
        #expect(answer.value(of: "Access-Control-Max-Age") == "7200")
        #expect(answer.value(of: "Access-Control-Allow-Credentials") == nil)
        let methods = answer.value(of: "Access-Control-Allow-Methods")?.split(separator: ", ") ?? []
        #expect(Set(methods).isSuperset(of: ["GET", "POST", "PATCH", "DELETE"]))
        let fields = answer.value(of: "Access-Control-Allow-Headers")?.split(separator: ", ") ?? []
        #expect(Set(fields).isSuperset(of: ["Authorization", "Content-Type", "Idempotency-Key"]))
      }
    }
  }

  @Test func `Pages of an allowed origin read every answer, errors included`() async throws {
    let settings = ["CORS_ALLOWED_ORIGINS": Self.page, "RATE_LIMIT_CLIENT": "3/3600"]
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: settings) { registry in
      let owner = try await registry.newOwner()
      let token = [("Authorization", "Bearer \(owner.token)")]
      var statuses: [Int] = []
      for (path, fields) in [
        ("/api/v1/devices", token), ("/api/v1/devices", []), ("/nowhere", []),
        ("/api/v1/devices/\(owner.id)", token), ("/api/v1/devices", token), ("/api/v1/devices", token),
      ] {
        let answer = try await registry.ask("GET", path, fields: fields + [("Origin", Self.page)])
        statuses.append(answer.status)
        #expect(answer.value(of: Self.allowOrigin) == Self.page)
        #expect(answer.value(of: "Vary")?.hasSuffix("Origin") == true)
        let shown = answer.value(of: "Access-Control-Expose-Headers")?.split(separator: ", ") ?? []
        #expect(
          Set(shown).isSuperset(of: [
            "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After",
            "X-Request-Id",
          ]))
      }
      #expect(statuses == [200, 401, 404, 404, 200, 429])
    }
  }

  @Test func `Other origins get no permission, and caches learn that answers differ`() async throws {
    let settings = ["CORS_ALLOWED_ORIGINS": Self.page]
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: settings) { registry in
      for origin in ["http://console.example.com", "\(Self.page).evil.example", "null", "\(Self.page):8443"] {
        let preflight = try await Self.preflight(registry, from: origin)
        #expect(preflight.status == 405)
        let answer = try await registry.ask("GET", "/healthz", fields: [("Origin", origin)])
        for answer in [preflight, answer] {
          #expect(answer.value(of: Self.allowOrigin) == nil)
          #expect(answer.value(of: "Vary") == "Origin")
        }
      }
      #expect(try await registry.ask("GET", "/healthz").value(of: "Vary") == "Origin")
    }
  }

  @Test func `An asterisk allows every origin`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: ["CORS_ALLOWED_ORIGINS": "*"]) {
      registry in
      #expect(try await Self.preflight(registry, from: "null").value(of: Self.allowOrigin) == "*")
      let answer = try await registry.ask("GET", "/api/v1/devices", fields: [("Origin", Self.page)])
      #expect(answer.status == 401)
      #expect(answer.value(of: Self.allowOrigin) == "*")
      #expect(answer.value(of: "Vary") == nil)
    }
  }

  @Test func `Without the setting no answer has a field for browsers`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      #expect(try await Self.preflight(registry, from: Self.page).status == 405)
      let answer = try await registry.ask("GET", "/healthz", fields: [("Origin", Self.page)])
      #expect(answer.value(of: Self.allowOrigin) == nil)
      #expect(answer.value(of: "Vary") == nil)
    }
  }

  @Test(arguments: [
    "console.example.com", "https://a.example/path", "https://a.example,", "*,https://a.example", "null",
  ])
  func `What is no origin stops the start`(text: String) {
    #expect {
      try Configuration(
        arguments: ["--cors-allowed-origins", text], environment: ["JWT_SECRET": TestRegistry.secret])
    } throws: { "\($0)".hasPrefix("CORS_ALLOWED_ORIGINS") }
  }
}
