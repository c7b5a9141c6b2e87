import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite struct Listing {
    @Test(arguments: DatabaseKind.allCases)
    func `All devices are listed, active and revoked, oldest first`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      var ids: [String] = []
      for name in ["c", "a", "b"] { ids.append(try await registry.newDevice(of: owner, name)["id"] as! String) }
      _ = try await registry.newDevice(of: registry.newOwner(), "another's")
      _ = try await registry.ask("POST", "/api/v1/devices/\(ids[1])/revoke", as: owner)
      let devices = try await registry.ask("GET", "/api/v1/devices", as: owner).array()
      #expect(devices.map { $0["device_name"] as? String } == ["c", "a", "b"])
      #expect(devices.map { $0["revoked"] as? Bool } == [false, true, false])
      #expect(devices.map { $0["is_active"] as? Bool } == [true, false, true])
      #expect(devices.allSatisfy { $0["secret"] == nil && $0["hmac_key_hash"] == nil })
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Who has no devices has an empty list`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let answer = try await registry.ask("GET", "/api/v1/devices", as: registry.newOwner())
      #expect(answer.status == 200)
      #expect(answer.text == "[]")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A client that does not exist gets 404 from every route of owners`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try #require(try await registry.newDevice(of: registry.newOwner(), "EA")["id"] as? String)
      let unknown = "01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a"
      let name = ["device_name": "EA"]
      for (method, path, json) in [
        ("GET", "/devices", nil), ("GET", "/devices?limit=1", nil), ("POST", "/devices", name),
        ("GET", "/devices/\(device)", nil), ("GET", "/devices/\(unknown)", nil),
        ("PATCH", "/devices/\(device)", name),
        ("POST", "/devices/\(device)/revoke", nil), ("POST", "/devices/\(device)/rotate", nil),
        ("GET", "/signals", nil), ("GET", "/signals/\(unknown)", nil),
        ("POST", "/signals", ["payload": [String: String](), "all": true]),
      ] as [(String, String, [String: Any]?)] {
        let answer = try await registry.ask(method, "/api/v1" + path, as: TestOwner(id: "nobody"), json: json)
        #expect(
          answer.status == 404 && answer.text.contains("/client-not-found"), "\(method) \(path): \(answer.text)"
        )
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Pages follow each other and leave nothing out`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      for number in 1...5 { _ = try await registry.newDevice(of: owner, "EA-\(number)") }
      var (names, sizes): ([String], [Int]) = ([], [])
      var target: String? = "/api/v1/devices?limit=2"
      while let page = target {
        let answer = try await registry.ask("GET", page, as: owner)
        let devices = try answer.array()
        names += devices.map { $0["device_name"] as! String }
        sizes.append(devices.count)
        target = try answer.value(of: "Link").map { link in
          String(
            try #require(
              link.wholeMatch(of: /<(\/api\/v1\/devices\?limit=2&cursor=[A-Za-z0-9_-]+)>; rel="next"/)
            ).1)
        }
      }
      #expect(names == (1...5).map { "EA-\($0)" })
      #expect(sizes == [2, 2, 1])
    }
  }

  @Suite struct Renaming {
    @Test(arguments: DatabaseKind.allCases)
    func `A device is renamed`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let id = try await registry.newDevice(of: owner)["id"] as! String
      let answer = try await registry.ask(
        "PATCH", "/api/v1/devices/\(id)", as: owner, json: ["device_name": " Backup\u{3000}"])
      #expect(answer.status == 200)
      #expect(try answer.string("device_name") == "Backup")
      #expect(
        try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner).string("device_name") == "Backup")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A name that another device has is refused, its own is not`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.newDevice(of: owner, "one")
      let id = try await registry.newDevice(of: owner, "two")["id"] as! String
      let path = "/api/v1/devices/\(id)"
      #expect(try await registry.ask("PATCH", path, as: owner, json: ["device_name": "one"]).status == 409)
      #expect(try await registry.ask("PATCH", path, as: owner, json: ["device_name": "two"]).status == 200)
    }

    /// Bodies in which the new name is not valid, is absent, or is not a string.
    static let bodiesWithoutValidName =
      [
        "", " ", "\\t\\n", "\\u3000\\u00a0", "a\\u0000b", "a\\nb", "\\u007f", "a\\u009fb", "\\ud800",
        String(repeating: "x", count: 101), String(repeating: "🚀", count: 101),
        String(repeating: "e\u{301}", count: 101), String(repeating: "x", count: 10_000),
      ].map { #"{"device_name":"\#($0)"}"# } + [
        "{}", #"{"device_name":null}"#, #"{"device_name":1}"#, #"{"device_name":["EA"]}"#,
        #"{"DEVICE_NAME":"EA"}"#, "[]", "{", "",
      ]

    /// A change may leave the name out, but then it must have something else: other words.
    static let bodiesWithoutName = ["{}", #"{"device_name":null}"#]

    @Test(arguments: DatabaseKind.allCases, bodiesWithoutValidName)
    func `A name that is refused at registration is refused in the same words, and the old one stays`(
      _ kind: DatabaseKind, _ body: String
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let path = "/api/v1/devices/\(try await registry.newDevice(of: owner, "old")["id"] as! String)"
      let fields = [("Authorization", "Bearer \(owner.token)"), ("Content-Type", "application/json")]
      var problems: [NSDictionary] = []
      for (method, target) in [("POST", "/api/v1/devices"), ("PATCH", path)] {
        let answer = try await registry.client.send(method, target, fields: fields, body: Array(body.utf8))
        registry.check(answer, to: method, target)
        #expect(answer.status == 400, "\(method): \(answer.text)")
        var problem = try answer.object()
        #expect(problem.removeValue(forKey: "request_id") is String)
        problems.append(problem as NSDictionary)
      }
      #expect(problems[0] == problems[1] || Self.bodiesWithoutName.contains(body))
      let devices = try await registry.ask("GET", "/api/v1/devices", as: owner).array()
      #expect(devices.map { $0["device_name"] as? String } == ["old"])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device that is missing, revoked or another's is not renamed`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let path = "/api/v1/devices/\(try await registry.newDevice(of: owner)["id"] as! String)"
      let json = ["device_name": "new"]
      let missing = "/api/v1/devices/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a"
      #expect(try await registry.ask("PATCH", missing, as: owner, json: json).status == 404)
      #expect(try await registry.ask("PATCH", path, as: registry.newOwner(), json: json).status == 403)
      _ = try await registry.ask("POST", path + "/revoke", as: owner)
      #expect(try await registry.ask("PATCH", path, as: owner, json: json).status == 409)
    }
  }

  @Suite struct Revocation {
    @Test(arguments: DatabaseKind.allCases)
    func `A device is revoked, for good, and once more changes nothing`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let path = "/api/v1/devices/\(try await registry.newDevice(of: owner, "EA")["id"] as! String)"
      #expect(try await registry.ask("POST", path + "/revoke", as: owner).status == 204)
      let device = try await registry.ask("GET", path, as: owner)
      #expect(try device.object()["revoked"] as? Bool == true)
      #expect(try device.object()["is_active"] as? Bool == false)
      #expect(try await registry.ask("POST", path + "/revoke", as: owner).status == 204)
      #expect(try await registry.ask("GET", path, as: owner).body == device.body)
      // Its name is free again.
      _ = try await registry.newDevice(of: owner, "EA")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device that is missing or another's is not revoked`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let path = "/api/v1/devices/\(try await registry.newDevice(of: owner)["id"] as! String)"
      let missing = "/api/v1/devices/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a/revoke"
      #expect(try await registry.ask("POST", missing, as: owner).status == 404)
      #expect(try await registry.ask("POST", path + "/revoke", as: registry.newOwner()).status == 403)
      #expect(try await registry.ask("GET", path, as: registry.newOwner()).status == 403)
      #expect(try await registry.ask("GET", path, as: owner).object()["revoked"] as? Bool == false)
    }
  }
}
