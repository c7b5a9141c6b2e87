import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Statistics") struct Statistics {
    @Test(arguments: DatabaseKind.allCases)
    func `What a device did is shown within a second or two, by hour and day, alone, summed and by group`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let idle = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.ask("PUT", "/api/v1/groups/desk", as: owner).status == 201)
      #expect(
        try await registry.ask("PUT", "/api/v1/groups/desk/devices/\(device.id)", as: owner).status == 204)
      let id = try await registry.newSignal(of: owner)
      for _ in 0..<3 { #expect(try await registry.poll(device).status == 200) }
      #expect(try await registry.ack(device, [["signal_id": id, "status": "placed"]]).status == 200)
      func statistics(_ target: String) async throws -> [[String: Any]] {
        let answer = try await registry.ask("GET", target, as: owner)
        #expect(answer.status == 200, "\(answer.text)")
        return try answer.array()
      }
      func sum(_ rows: [[String: Any]], _ name: String) -> Int {
        rows.reduce(0) { $0 + ($1[name] as? Int ?? 0) }
      }
      let target = "/api/v1/devices/\(device.id)/stats"
      try await registry.until("all is counted") {
        let rows = try await statistics(target)
        return sum(rows, "polls") == 3 && sum(rows, "signals") == 1
      }
      let day = try #require(try await statistics(target + "?step=day").last)
      #expect(day["polls"] as? Int == 3 && day["placed"] as? Int == 1 && day["failed"] as? Int == 0)
      #expect((day["from"] as? String)?.hasSuffix("T00:00:00.000Z") == true)
      for name in ["handed_out_ms", "acked_ms"] {
        let durations = try #require(day[name] as? [String: Any])
        let (median, longest) = (durations["p50"] as? Int, durations["max"] as? Int)
        #expect(median != nil && median == longest && durations["p95"] as? Int == longest)
      }
      #expect(try await statistics("/api/v1/devices/\(idle.id)/stats").isEmpty)

      let together = try await statistics("/api/v1/stats?step=day")
      #expect(sum(together, "polls") == 3 && together.allSatisfy { $0["device_id"] is NSNull })
      let byDevice = try await statistics("/api/v1/stats?step=day&by=device")
      #expect(byDevice.allSatisfy { $0["device_id"] as? String == device.id } && sum(byDevice, "polls") == 3)
      let byGroup = try await statistics("/api/v1/stats?by=group")
      #expect(byGroup.allSatisfy { $0["group"] as? String == "desk" } && sum(byGroup, "polls") == 3)

      let page = try await registry.ask("GET", "/api/v1/stats?by=device&limit=1", as: owner)
      let link = try #require(page.value(of: "link"))
      let next = try #require(link.split(separator: ">").first?.dropFirst())
      #expect(try await statistics(String(next)).isEmpty)

      let csv = try await registry.ask(
        "GET", target + "?step=day", token: owner.token, fields: [("Accept", "text/csv")])
      let lines = csv.text.split(separator: "\r\n")
      #expect(lines[0].hasPrefix("from,polls,online_seconds,signals,placed,failed,skipped,expired,cancelled,"))
      #expect(lines.last?.contains(",3,") == true, "\(csv.text)")

      let other = try await registry.newOwner()
      #expect(try await registry.ask("GET", target, as: other).status == 403)
      #expect(try await registry.ask("GET", "/api/v1/stats", as: other).array().isEmpty)
      let unknown = "/api/v1/devices/\(UUID().uuidString.lowercased())/stats"
      #expect(try await registry.ask("GET", unknown, as: owner).status == 404)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A signal that is cancelled or expires counts for the devices that did not acknowledge it`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let id = try await registry.newSignal(of: owner)
      #expect(try await registry.ask("POST", "/api/v1/signals/\(id)/cancel", as: owner).status == 200)
      let expiring = try await registry.ask(
        "POST", "/api/v1/signals", as: owner, json: ["payload": [:], "all": true, "ttl_seconds": 1])
      #expect(expiring.status == 201)
      try await registry.until("both are counted") {
        let rows = try await registry.ask("GET", "/api/v1/devices/\(device.id)/stats", as: owner).array()
        return ["cancelled", "expired"].allSatisfy { name in
          rows.reduce(0) { $0 + ($1[name] as? Int ?? 0) } == 1
        }
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Periods that end before they begin or are too long are refused, and say what to do`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let target = "/api/v1/devices/\(device.id)/stats"
      for (target, field, text) in [
        (target + "?from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "from", "before to"),
        (target + "?from=1970-01-01T00:00:00Z", "from", "hours of 1 device"),
        (target + "?from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from", "step=day"),
        (target + "?from=yesterday", "from", "RFC 3339"), (target + "?step=week", "step", "hour or day"),
        ("/api/v1/stats?by=client", "by", "device or group"), ("/api/v1/stats?limit=3", "limit", "by=device"),
        ("/api/v1/stats?by=device&limit=1000", "from", "smaller limit"),
      ] {
        let answer = try await registry.ask("GET", target, as: owner)
        #expect(answer.status == 400, "\(target)")
        let error = (try answer.object()["errors"] as? [[String: String]])?.first
        #expect(error?["field"] == field && error?["message"]?.contains(text) == true, "\(answer.text)")
      }
      let year = target + "?from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z"
      #expect(try await registry.ask("GET", year, as: owner).status == 200)
      let decade = target + "?from=2016-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&step=day"
      #expect(try await registry.ask("GET", decade, as: owner).status == 200)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device's first request is an event`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      #expect(try await registry.poll(device).status == 200)
      try await registry.until("it is recorded") {
        let page = try await registry.ask("GET", "/api/v1/events?types=device.online", as: owner).object()
        return (page["events"] as? [[String: Any]])?.first?["device_id"] as? String == device.id
      }
    }
  }
}
