import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite struct Persistence {
    @Test(arguments: DatabaseKind.allCases)
    func `A device is in the database, with the hash of its secret and not the secret`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newDevice(of: owner, "stored")
      let stored = "FROM devices WHERE client_id = '\(owner.id)'"
      #expect(try await registry.database.first("SELECT device_name \(stored)") == "stored")
      #expect(
        try await registry.database.first("SELECT hmac_key_hash \(stored)") == device["hmac_key_hash"]
          as? String)
      let isLeaked = try await registry.database.contains(device["secret"] as! String)
      #expect(!isLeaked)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Times are set when they should be`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let before = Date(timeIntervalSinceNow: -0.002)
      let device = try await registry.newDevice(of: owner)
      let created = try Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        .parse(device["created_at"] as! String)
      #expect((before...Date()).contains(created))
      #expect(device["updated_at"] as? String == device["created_at"] as? String)
      for presence in ["last_poll", "last_ack", "last_seen"] { #expect(device[presence] is NSNull) }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `With a client its devices go`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let path = "/api/v1/devices/\(try await registry.newDevice(of: owner)["id"] as! String)"
      let client = "/api/v1/clients/\(owner.id)"
      #expect(try await registry.ask("DELETE", client, token: TestRegistry.administrator).status == 204)
      #expect(try await registry.ask("DELETE", client, token: TestRegistry.administrator).status == 404)
      #expect(try await registry.ask("GET", path, as: owner).status == 404)
      let left = try await registry.database.first(
        "SELECT count(*) FROM devices WHERE client_id = '\(owner.id)'")
      #expect(left == "0")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A restart loses nothing`(_ kind: DatabaseKind) async throws {
      let database = await TestDatabase(kind)
      let (owner, body) = try await TestRegistry.with(database) { registry in
        let owner = try await registry.newOwner()
        _ = try await registry.newDevice(of: owner)
        return (owner, try await registry.ask("GET", "/api/v1/devices", as: owner).body)
      }
      try await TestRegistry.with(database) { registry in
        let again = try await registry.ask("GET", "/api/v1/devices", as: owner)
        #expect(again.body == body)
      }
    }
  }

  @Suite struct Names {
    @Test(arguments: DatabaseKind.allCases, ["デバイス-主要", "Gerät №1 🚀", "جهاز", #"quote " \ / <b> 'x'; --"#])
    func `Names are Unicode`(_ kind: DatabaseKind, _ name: String) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      #expect(try await registry.newDevice(of: owner, name)["device_name"] as? String == name)
      let devices = try await registry.ask("GET", "/api/v1/devices", as: owner).array()
      #expect(devices.map { $0["device_name"] as? String } == [name])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Names are normalised to NFC, so that two spellings are one`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let stored = try await registry.newDevice(of: owner, "Cafe\u{301}")["device_name"] as? String
      #expect(stored.map { Array($0.unicodeScalars) } == Array("Caf\u{e9}".unicodeScalars))
      let answer = try await registry.ask(
        "POST", "/api/v1/devices", as: owner, json: ["device_name": "Caf\u{e9}"])
      #expect(answer.status == 409)
    }

    @Test(arguments: DatabaseKind.allCases, ["x", "é", "🚀"])
    func `A name has at most 100 characters`(_ kind: DatabaseKind, _ character: String) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.newDevice(of: owner, String(repeating: character, count: 100))
      let answer = try await registry.ask(
        "POST", "/api/v1/devices", as: owner, json: ["device_name": String(repeating: character, count: 101)])
      #expect(answer.status == 400)
      #expect((try answer.object()["errors"] as? [[String: String]])?.map { $0["field"] } == ["device_name"])
    }

    @Test(arguments: DatabaseKind.allCases, ["", "   ", "\t\n", "\u{3000}\u{a0}", "a\u{7}b", "a\u{0}b"])
    func `A name is not empty, not blank and has no control characters`(
      _ kind: DatabaseKind, _ name: String
    ) async throws {
      let registry = try registry(kind)
      let answer = try await registry.ask(
        "POST", "/api/v1/devices", as: registry.newOwner(), json: ["device_name": name])
      #expect(answer.status == 400)
    }
  }
}
