import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite struct Tokens {
    private static func base64url(_ text: String) -> String {
      Data(text.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
        .replacing("=", with: "")
    }

    /// Tokens that must not open anything, and what is wrong with them.
    static let bad: [(String, String)] = {
      let good = TestRegistry.token(subject: "alice").split(separator: ".").map(String.init)
      let claims = #"{"sub":"alice","exp":99999999999}"#
      func forged(_ header: String, _ signature: String = good[2]) -> String {
        "\(base64url(header)).\(base64url(claims)).\(signature)"
      }
      return [
        ("alg none", forged(#"{"alg":"none"}"#, "")), ("alg None with a signature", forged(#"{"alg":"None"}"#)),
        ("another algorithm", forged(#"{"alg":"HS384"}"#)),
        ("an asymmetric algorithm", forged(#"{"alg":"RS256"}"#)),
        ("crit", forged(#"{"alg":"HS256","crit":["x"],"x":1}"#)), ("no algorithm", forged("{}")),
        ("other claims", "\(good[0]).\(base64url(claims)).\(good[2])"),
        ("another signature", "\(good[0]).\(good[1]).\(String(good[2].reversed()))"),
        ("no signature", "\(good[0]).\(good[1])."), ("two parts", "\(good[0]).\(good[1])"),
        ("nonsense", "nonsense"),
        ("a device's token", "drt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("expired", TestRegistry.token(subject: "alice", lifetimeSeconds: -31)),
        ("an empty subject", TestRegistry.token(subject: "")),
        ("a subject that is no client id", TestRegistry.token(subject: "alice smith")),
      ]
    }()

    @Test(arguments: bad)
    func `A token that does not verify opens nothing`(_ fault: String, _ token: String) async throws {
      let registry = try registry(.sqlite)
      for (method, path) in [
        ("GET", "/api/v1/devices"), ("POST", "/api/v1/devices"), ("GET", "/api/v1/clients"),
      ] {
        let answer = try await registry.ask(method, path, token: token)
        #expect(answer.status == 401, "\(fault)")
        #expect(answer.value(of: "WWW-Authenticate")?.hasPrefix(#"Bearer error="invalid_token", "#) == true)
      }
    }

    @Test func `Without a token the answer says how to authenticate`() async throws {
      let registry = try registry(.sqlite)
      for fields in [[], [("Authorization", "Basic YWxpY2U6eA==")]] {
        let answer = try await registry.ask("GET", "/api/v1/devices", fields: fields)
        #expect(answer.status == 401)
        #expect(answer.value(of: "WWW-Authenticate") == "Bearer")
      }
    }

    @Test func `The scheme is read in any case`() async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let answer = try await registry.ask(
        "GET", "/api/v1/devices", fields: [("Authorization", "bEARER \(owner.token)")])
      #expect(answer.status == 200)
    }

    @Test func `A required audience must be present`() async throws {
      try await TestRegistry.with(await TestDatabase(.sqlite), settings: ["JWT_AUDIENCE": "registry"]) {
        registry in
        let answer = try await registry.ask(
          "GET", "/api/v1/devices", token: TestRegistry.token(subject: "alice"))
        #expect(answer.status == 401)
      }
    }
  }

  @Suite struct Clients {
    @Test(arguments: DatabaseKind.allCases)
    func `A client is created, shown and listed`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let (id, token) = ("a/b~%\(UUID().uuidString)", TestRegistry.administrator)
      let json: [String: Any] = [
        "id": id, "email": "\(UUID().uuidString)@Example.com", "telegram_id": Int64.max,
      ]
      let created = try await registry.ask("POST", "/api/v1/clients", token: token, json: json)
      #expect(created.status == 201)
      #expect(try created.string("id") == id)
      #expect(try created.object()["telegram_id"] as? Int64 == .max)
      let location = try #require(created.value(of: "Location"))
      #expect(location.hasPrefix("/api/v1/clients/a%2Fb~%25"))
      #expect(try await registry.ask("GET", location, token: token).body == created.body)
      let clients = try await registry.ask("GET", "/api/v1/clients", token: token).array()
      #expect(clients.contains { $0["id"] as? String == id })
      #expect(try await registry.ask("POST", "/api/v1/clients", token: token, json: ["id": id]).status == 409)
      let email = ["email": (json["email"] as! String).uppercased()]
      let taken = try await registry.ask("POST", "/api/v1/clients", token: token, json: email)
      #expect(try taken.string("type")?.hasSuffix("/client-email-taken") == true)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Without an id a client gets a UUID, and pages continue`(_ kind: DatabaseKind) async throws {
      let (registry, token) = (try registry(kind), TestRegistry.administrator)
      let empty: [String: Any] = [:]
      for _ in 1...2 {
        let answer = try await registry.ask("POST", "/api/v1/clients", token: token, json: empty)
        #expect(UUID(uuidString: try #require(try answer.string("id"))) != nil)
      }
      let page = try await registry.ask("GET", "/api/v1/clients?limit=1", token: token)
      #expect(try page.array().count == 1)
      let next = try #require(page.value(of: "Link")?.firstMatch(of: /<(.*)>/)?.1)
      let second = try await registry.ask("GET", String(next), token: token)
      #expect(try second.array().count == 1)
      #expect(second.body != page.body)
    }

    @Test func `Only an administrator manages clients, and owns no devices`() async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let answer = try await registry.ask("GET", "/api/v1/clients", as: owner)
      #expect(answer.status == 403)
      #expect(answer.value(of: "WWW-Authenticate")?.contains(#"error="insufficient_scope""#) == true)
      let path = "/api/v1/devices/\(try await registry.newDevice(of: owner)["id"] as! String)"
      let foreign = try await registry.ask("GET", path, token: TestRegistry.administrator)
      #expect(try TestRegistry.kind(foreign) == "client-not-found")
    }
  }

  @Suite struct Everywhere {
    @Test func `The service is alive and ready, and describes itself`() async throws {
      for kind in DatabaseKind.allCases {
        let registry = try registry(kind)
        for path in ["/healthz", "/readyz", "/openapi.json"] {
          #expect(try await registry.ask("GET", path).status == 200)
        }
      }
    }

    @Test func `While the database is gone the service lives, is not ready, and says when to come back`()
      async throws
    {
      try await PostgresCluster.with { cluster in
        try await TestRegistry.with(TestDatabase(postgres: cluster.makeDatabase())) { registry in
          let owner = try await registry.newOwner()
          await cluster.stop()
          #expect(try await registry.ask("GET", "/healthz").status == 200)
          for answer in [
            try await registry.ask("GET", "/readyz"),
            try await registry.ask("GET", "/api/v1/devices", as: owner),
          ] {
            #expect(answer.status == 503)
            #expect(answer.value(of: "Retry-After") != nil)
            #expect(!answer.text.contains(cluster.folder))
          }
        }
      }
    }

    @Test func `A request id is kept, or made`() async throws {
      let registry = try registry(.sqlite)
      let own = try await registry.ask("GET", "/nowhere", fields: [("X-Request-Id", "my-own!")])
      #expect(own.value(of: "X-Request-Id") == "my-own!")
      #expect(try own.string("request_id") == "my-own!")
      var made: Set<String> = []
      for id in ["", "two words", String(repeating: "x", count: 129)] {
        let answer = try await registry.ask("GET", "/healthz", fields: [("X-Request-Id", id)])
        made.insert(try #require(answer.value(of: "X-Request-Id")))
      }
      #expect(made.count == 3 && made.allSatisfy { (1...128).contains($0.utf8.count) && !$0.contains(" ") })
    }

    @Test func `HEAD is GET without the body`() async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let answer = try await registry.ask("HEAD", "/api/v1/devices", as: owner)
      #expect(answer.status == 200)
      #expect(answer.body.isEmpty)
      #expect(answer.value(of: "Content-Length") == "2")
      #expect(try await registry.ask("HEAD", "/nowhere").status == 404)
    }

    @Test func `A method that a path does not take is answered with those that it takes`() async throws {
      let registry = try registry(.sqlite)
      let answer = try await registry.ask("PUT", "/api/v1/devices")
      #expect(answer.status == 405)
      #expect(answer.value(of: "Allow") == "POST, GET, HEAD")
    }

    @Test(arguments: [
      "/", "/api/v1/device/", "/api/v1/devices/", "/API/v1/devices", "/api/v1//devices", "/healthz/x",
    ])
    func `What is not a path of ours is not found`(_ path: String) async throws {
      #expect(try await registry(.sqlite).ask("GET", path).status == 404)
    }

    @Test func `A body may have 64 KiB`() async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      func answer(_ length: Int) async throws -> Int {
        let text = #"{"device_name":"EA"}"#
        let json = text + String(repeating: " ", count: length - text.utf8.count)
        let fields = [("Authorization", "Bearer \(owner.token)"), ("Content-Type", "application/json")]
        let answer = try await registry.client.send(
          "POST", "/api/v1/devices", fields: fields, body: Array(json.utf8))
        registry.check(answer, to: "POST", "/api/v1/devices")
        return answer.status
      }
      #expect(try await answer(65_536) == 201)
      #expect(try await answer(65_537) == 413)
    }

    @Test(arguments: ["{", "[]", "", "{\"device_name\":\"\u{0}\"}", #"{"device_name":"\ud800"}"#])
    func `A body that is not the JSON that is expected is refused`(_ text: String) async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let fields = [("Authorization", "Bearer \(owner.token)"), ("Content-Type", "application/json")]
      let answer = try await registry.client.send(
        "POST", "/api/v1/devices", fields: fields, body: Array(text.utf8))
      registry.check(answer, to: "POST", "/api/v1/devices")
      #expect(answer.status == 400)
    }

    @Test func `Many requests follow each other on one connection`() async throws {
      let registry = try registry(.sqlite)
      let request = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
      let answers = try await registry.client.sendRaw(
        Array(String(repeating: request, count: 20).utf8), methods: Array(repeating: "GET", count: 20))
      #expect(answers.allSatisfy { $0.status == 200 && $0.text == #"{"status":"ok"}"# })
    }
  }
}
