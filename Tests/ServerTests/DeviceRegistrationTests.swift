import TestSupport
import Testing

extension DeviceRegistry {
  @Suite struct Registration {
    @Test(arguments: DatabaseKind.allCases)
    func `A registered device is answered with its secret`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let answer = try await registry.ask(
        "POST", "/api/v1/devices", as: owner, json: ["device_name": "EA-Main"])
      #expect(answer.status == 201)
      let device = try answer.object()
      #expect(device["client_id"] as? String == owner.id)
      #expect(device["device_name"] as? String == "EA-Main")
      #expect(device["is_active"] as? Bool == true)
      #expect(device["revoked"] as? Bool == false)
      #expect((device["secret"] as? String)?.utf8.count == 64)
      #expect((device["hmac_key_hash"] as? String)?.hasPrefix("$argon2id$v=19$") == true)
      let location = try #require(answer.value(of: "Location"))
      #expect(location == "/api/v1/devices/\(try #require(device["id"] as? String))")
      #expect(try await registry.ask("GET", location, as: owner).status == 200)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The secret is shown once`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newDevice(of: owner)
      let (id, secret) = (device["id"] as! String, device["secret"] as! String)
      for answer in [
        try await registry.ask("GET", "/api/v1/devices", as: owner),
        try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner),
        try await registry.ask("PATCH", "/api/v1/devices/\(id)", as: owner, json: ["device_name": "EA-2"]),
      ] {
        #expect(answer.status == 200)
        #expect(!answer.text.contains("secret") && !answer.text.contains("hmac_key_hash"))
        #expect(!answer.text.contains(secret) && !answer.text.contains("argon2id"))
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Two devices of a client cannot have one name`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.newDevice(of: owner, "EA")
      let answer = try await registry.ask("POST", "/api/v1/devices", as: owner, json: ["device_name": " EA "])
      #expect(answer.status == 409)
      #expect(try answer.string("type")?.hasSuffix("/device-name-taken") == true)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Two clients can use one name`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let first = try await registry.newDevice(of: registry.newOwner(), "EA")
      let second = try await registry.newDevice(of: registry.newOwner(), "EA")
      #expect(first["id"] as? String != second["id"] as? String)
      #expect(first["secret"] as? String != second["secret"] as? String)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A client that is not registered cannot register devices`(_ kind: DatabaseKind) async throws {
      let answer = try await registry(kind).ask(
        "POST", "/api/v1/devices", as: TestOwner(id: "nobody"), json: ["device_name": "EA"])
      #expect(answer.status == 404)
      #expect(try answer.string("type")?.hasSuffix("/client-not-found") == true)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Of twelve that register one name at once, one wins`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<12 {
          group.addTask {
            try await registry.ask("POST", "/api/v1/devices", as: owner, json: ["device_name": "race"]).status
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(statuses.sorted() == [201] + Array(repeating: 409, count: 11))
      #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).array().count == 1)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A client has a limited number of devices, revoked ones included`(_ kind: DatabaseKind) async throws {
      try await TestRegistry.with(await TestDatabase(kind), settings: ["MAX_DEVICES_PER_CLIENT": "2"]) {
        registry in
        let owner = try await registry.newOwner()
        let id = try await registry.newDevice(of: owner, "one")["id"] as! String
        _ = try await registry.ask("POST", "/api/v1/devices/\(id)/revoke", as: owner)
        _ = try await registry.newDevice(of: owner, "two")
        let answer = try await registry.ask(
          "POST", "/api/v1/devices", as: owner, json: ["device_name": "three"])
        #expect(answer.status == 409)
        #expect(try answer.string("type")?.hasSuffix("/too-many-devices") == true)
      }
    }
  }
}
