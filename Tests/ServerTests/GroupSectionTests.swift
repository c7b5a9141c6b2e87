import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Labels and groups") struct LabelsAndGroups {
    private func end(_ seconds: Double) -> String {
      Date(timeIntervalSinceNow: seconds).formatted(.iso8601)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device is registered with labels, groups and an end, and changed`(_ kind: DatabaseKind) async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      #expect(try await registry.ask("PUT", "/api/v1/groups/desk.1", as: owner).status == 201)
      let registered = try await registry.ask(
        "POST", "/api/v1/devices", as: owner,
        json: [
          "device_name": "EA", "labels": ["role": "primary", "vps/site": ""], "groups": ["desk.1"],
          "expires_at": end(86_400 * 3650),
        ])
      #expect(registered.status == 201, "\(registered.text)")
      let id = try #require(try registered.object()["id"] as? String)
      #expect(try registered.object()["labels"] as? [String: String] == ["role": "primary", "vps/site": ""])
      #expect(try registered.object()["groups"] as? [String] == ["desk.1"])
      func patch(_ json: Any) async throws -> HTTPAnswer {
        try await registry.ask("PATCH", "/api/v1/devices/\(id)", as: owner, json: json)
      }
      let patched = try await patch(["labels": ["role": NSNull(), "a": "b"], "expires_at": NSNull()])
      #expect(patched.status == 200, "\(patched.text)")
      #expect(try patched.object()["labels"] as? [String: String] == ["a": "b", "vps/site": ""])
      #expect(try patched.object()["expires_at"] is NSNull)
      #expect(try await patch(["labels": NSNull()]).object()["labels"] as? [String: String] == [:])
      let wrong: [(json: [String: Any], field: String)] = [
        ([:], ""), (["device_name": NSNull()], ""), (["expires_at": end(-60)], "expires_at"),
        (["expires_at": "tomorrow"], "expires_at"), (["labels": ["a b": "x"]], "labels.a b"),
        (["labels": ["role": "x y"]], "labels.role"), (["labels": ["role": 1]], "labels.role"),
        (["labels": Dictionary(uniqueKeysWithValues: (0..<17).map { ("k\($0)", "v") })], "labels"),
      ]
      for (json, field) in wrong {
        let answer = try await patch(json)
        #expect(answer.status == 400, "\(json): \(answer.text)")
        let errors = try answer.object()["errors"] as? [[String: String]]
        #expect(errors?.first?["field"] == field, "\(json): \(answer.text)")
      }
      for (groups, status) in [(["none"], 404), (["desk.1", "desk.1"], 400), (["a b"], 400)] {
        let answer = try await registry.ask(
          "POST", "/api/v1/devices", as: owner, json: ["device_name": "EA 2", "groups": groups])
        #expect(answer.status == status, "\(answer.text)")
      }
      #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).array().count == 1)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Groups are put, listed, shown and deleted, and devices join and leave`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      let id = try await registry.newDevice(of: owner)["id"] as! String
      let foreign = try await registry.newDevice(of: other)["id"] as! String
      func ask(_ method: String, _ path: String, _ json: Any? = nil) async throws -> HTTPAnswer {
        try await registry.ask(method, "/api/v1/groups\(path)", as: owner, json: json)
      }
      let created = try await ask("PUT", "/desk", ["description": "day"])
      #expect(created.status == 201 && created.value(of: "Location") == "/api/v1/groups/desk")
      #expect(try await ask("PUT", "/desk", ["description": "night"]).status == 200)
      #expect(try await ask("PUT", "/desk%20a").status == 404)
      #expect(try await ask("PUT", "/desk/devices/\(id)").status == 204)
      #expect(try await ask("PUT", "/desk/devices/\(id)").status == 204)
      #expect(try await ask("PUT", "/none/devices/\(id)").status == 404)
      #expect(try await ask("PUT", "/desk/devices/\(foreign)").status == 403)
      #expect(try await ask("DELETE", "/desk/devices/\(foreign)").status == 403)
      #expect(try await ask("PUT", "/desk/devices/\(UUID().uuidString.lowercased())").status == 404)
      let shown = try await ask("GET", "/desk").object()
      #expect(shown["devices"] as? Int == 1 && shown["description"] as? String == "night")
      for name in ["a", "b", "c"] { _ = try await ask("PUT", "/\(name)") }
      let page = try await ask("GET", "?limit=2")
      #expect(try page.array().map { $0["name"] as? String } == ["a", "b"])
      let link = try #require(page.value(of: "Link"))
      let next = String(link.dropFirst().prefix { $0 != ">" })
      let rest = try await registry.ask("GET", next, as: owner)
      #expect(try rest.array().map { $0["name"] as? String } == ["c", "desk"] && rest.value(of: "Link") == nil)
      #expect(try await registry.ask("GET", "/api/v1/groups/desk", as: other).status == 404)
      #expect(
        try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner).object()["groups"] as? [String] == [
          "desk"
        ])
      #expect(try await ask("DELETE", "/desk").status == 204)
      #expect(try await ask("DELETE", "/desk").status == 404)
      let device = try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner).object()
      #expect(device["groups"] as? [String] == [])
      let types = try await registry.feed(of: owner, "types=group.*,device.updated", count: 7).types
      #expect(
        types == [
          "group.created", "group.updated", "device.updated", "group.created", "group.created", "group.created",
          "group.deleted",
        ])
    }
  }
}
