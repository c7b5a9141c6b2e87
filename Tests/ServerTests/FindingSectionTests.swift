import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Finding devices") struct Finding {
    private func names(_ answer: HTTPAnswer) throws -> [String] {
      try answer.array().compactMap { $0["device_name"] as? String }
    }

    private func register(
      _ registry: TestRegistry, _ owner: TestOwner, _ name: String, _ more: [String: Any] = [:]
    ) async throws -> String {
      let json = more.merging(["device_name": name]) { $1 }
      let answer = try await registry.ask("POST", "/api/v1/devices", as: owner, json: json)
      try #require(answer.status == 201, "\(answer.text)")
      return try answer.object()["id"] as! String
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Each condition finds its devices, and all must hold`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.ask("PUT", "/api/v1/groups/desk", as: owner)
      let one = try await register(
        registry, owner, "Alpha 1", ["labels": ["role": "primary", "vps": ""], "groups": ["desk"]])
      _ = try await register(registry, owner, "alpha 2", ["labels": ["role": "backup"]])
      let three = try await register(registry, owner, "Grüße 100%", ["groups": ["desk"]])
      _ = try await registry.ask("POST", "/api/v1/devices/\(three)/revoke", as: owner)
      let expected: [(query: String, names: [String])] = [
        ("", ["Alpha 1", "alpha 2", "Grüße 100%"]),
        ("status=active", ["Alpha 1", "alpha 2"]), ("status=revoked", ["Grüße 100%"]),
        ("status=suspended,expired", []), ("status=active,revoked", ["Alpha 1", "alpha 2", "Grüße 100%"]),
        ("labels=role", ["Alpha 1", "alpha 2"]), ("labels=role:backup", ["alpha 2"]),
        ("labels=role:primary,vps:", ["Alpha 1"]), ("labels=vps,role", ["Alpha 1"]),
        ("labels=role:primary,role:backup", []), ("labels=role:primary,role:primary", ["Alpha 1"]),
        ("group=desk", ["Alpha 1", "Grüße 100%"]), ("group=desk&status=active", ["Alpha 1"]),
        ("group=none", []),
        ("q=ALPHA", ["Alpha 1", "alpha 2"]), ("q=gr%C3%BC", ["Grüße 100%"]),
        ("q=gru%CC%88%C3%9F", ["Grüße 100%"]),
        ("q=0%25", ["Grüße 100%"]), ("q=_", []), ("q=alpha&labels=vps", ["Alpha 1"]),
        ("online=true", []), ("online=false", ["Alpha 1", "alpha 2", "Grüße 100%"]),
        ("seen_before=2099-01-01T00:00:00Z", []),
        ("mode_confirmed=false", ["Alpha 1", "alpha 2"]), ("mode_confirmed=true", []),
      ]
      for (query, names) in expected {
        let answer = try await registry.ask("GET", "/api/v1/devices?\(query)", as: owner)
        #expect(answer.status == 200 && answer.value(of: "Vary")?.contains("Accept") == true)
        #expect(try self.names(answer) == names, "\(query)")
        #expect(answer.value(of: "Link") == nil)
      }
      _ = one
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A wrong condition is named`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      for (query, field) in [
        ("status=paused", "status"), ("status=", "status"), ("status=active,", "status"),
        ("labels=a%20b", "labels"), ("labels=", "labels"), ("labels=a:b:c", "labels"),
        ("labels=a,,b", "labels"),
        ("labels=\((0..<17).map { "k\($0)" }.joined(separator: ","))", "labels"),
        ("group=a%20b", "group"), ("q=", "q"), ("q=%00", "q"), ("q=\(String(repeating: "x", count: 101))", "q"),
        ("online=yes", "online"), ("seen_before=yesterday", "seen_before"),
        ("seen_before=2026-02-30T00:00:00Z", "seen_before"), ("mode_confirmed=1", "mode_confirmed"),
        ("states=active", "states"), ("q=a&q=b", "q"), ("cursor=x", "cursor"),
      ] {
        let answer = try await registry.ask("GET", "/api/v1/devices?\(query)", as: owner)
        #expect(answer.status == 400, "\(query): \(answer.text)")
        let errors = try answer.object()["errors"] as? [[String: String]]
        #expect(errors?.first?["field"] == field, "\(query): \(answer.text)")
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The next page keeps the conditions, and shows another client nothing`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let (owner, other) = (try await registry.newOwner(), try await registry.newOwner())
      for index in 0..<5 {
        _ = try await register(registry, owner, "a \(index)", ["labels": ["n": "\(index % 2)"]])
      }
      var found: [String] = []
      var next: String? = "/api/v1/devices?limit=1&labels=n:0&q=A%20"
      while let target = next, found.count < 10 {
        let answer = try await registry.ask("GET", target, as: owner)
        found += try names(answer)
        next = answer.value(of: "Link").map { String($0.dropFirst().prefix { $0 != ">" }) }
        if let next { #expect(try await registry.ask("GET", next, as: other).array().isEmpty) }
      }
      #expect(found == ["a 0", "a 2", "a 4"])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Who is online depends on the setting`(_ kind: DatabaseKind) async throws {
      try await TestRegistry.with(await TestDatabase(kind), settings: ["OFFLINE_AFTER_SECONDS": "5"]) {
        registry in
        let owner = try await registry.newOwner()
        let device = try await registry.newSignedDevice(of: owner)
        _ = try await registry.newDevice(of: owner, "never seen")
        #expect(try await registry.whoami(device).status == 200)
        func online(_ value: Bool) async throws -> Int {
          try await registry.ask("GET", "/api/v1/devices?online=\(value)", as: owner).array().count
        }
        try await registry.until("it is online") { try await online(true) == 1 }
        #expect(try await online(false) == 1)
        let summary = try await registry.ask("GET", "/api/v1/devices/summary", as: owner).object()
        #expect(summary["online"] as? Int == 1 && summary["total"] as? Int == 2)
        registry.clock.advance(seconds: 6)
        #expect(try await online(true) == 0)
        #expect(try await online(false) == 2)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The summary counts by status, group and trading mode`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      for name in ["desk", "empty"] { _ = try await registry.ask("PUT", "/api/v1/groups/\(name)", as: owner) }
      for index in 0..<2 { _ = try await register(registry, owner, "a \(index)", ["groups": ["desk"]]) }
      _ = try await register(registry, owner, "halted", ["groups": ["desk"], "labels": ["site": "london"]])
      let id = try await register(registry, owner, "gone")
      _ = try await registry.ask("POST", "/api/v1/devices/\(id)/revoke", as: owner)
      let halt: [String: Any] = [
        "action": "set_trading_mode", "trading_mode": "halted", "select": ["labels": ["site": "london"]],
      ]
      _ = try await registry.ask("POST", "/api/v1/devices/bulk", as: owner, json: halt)
      let summary = try await registry.ask("GET", "/api/v1/devices/summary", as: owner).object()
      #expect(summary["total"] as? Int == 4 && summary["online"] as? Int == 0)
      #expect(summary["mode_unconfirmed"] as? Int == 3)
      #expect(
        summary["by_status"] as? [String: Int] == ["active": 3, "suspended": 0, "expired": 0, "revoked": 1])
      #expect(summary["by_group"] as? [String: Int] == ["desk": 3, "empty": 0])
      #expect(summary["by_mode"] as? [String: Int] == ["normal": 2, "close_only": 0, "halted": 1])
      let other = try await registry.newOwner()
      #expect(
        try await registry.ask("GET", "/api/v1/devices/summary", as: other).object()["total"] as? Int == 0)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The list as CSV is safe for spreadsheets and has the same devices`(_ kind: DatabaseKind) async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.ask("PUT", "/api/v1/groups/-desk", as: owner)
      let names = ["=1+1", "+1", "-1", "@SUM(A1)", "a \"b\", c", "plain =1", "Grüße"]
      var lines = ["id,device_name,status,labels,groups,online,last_seen,trading_mode,expires_at,created_at"]
      for name in names {
        let id = try await register(
          registry, owner, name, ["labels": ["-k": "v", "r": ""], "groups": ["-desk"]])
        let created = try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner).object()["created_at"]
        let cell = name.contains("\"") ? "\"a \"\"b\"\", c\"" : "=+-@".contains(name.first!) ? "'" + name : name
        lines.append("\(id),\(cell),active,'-k:v r:,'-desk,false,,normal,,\(created as! String)")
      }
      func table(_ query: String, _ accept: String) async throws -> HTTPAnswer {
        let fields = [("Authorization", "Bearer \(owner.token)"), ("Accept", accept)]
        let answer = try await registry.client.send("GET", "/api/v1/devices\(query)", fields: fields)
        registry.check(answer, to: "GET", "/api/v1/devices\(query)")
        return answer
      }
      let answer = try await table("", "text/csv")
      #expect(answer.value(of: "Content-Type") == "text/csv; charset=utf-8; header=present")
      #expect(answer.value(of: "Vary")?.contains("Accept") == true && answer.value(of: "Link") == nil)
      #expect(answer.text == lines.joined(separator: "\r\n") + "\r\n")
      let page = try await table("?limit=2&q=1", "text/csv")
      #expect(page.text.split(separator: "\r\n").map(String.init) == [lines[0], lines[1], lines[2]])
      let next = try #require(page.value(of: "Link")?.dropFirst().prefix { $0 != ">" })
      let rest = try await table(String(next.dropFirst("/api/v1/devices".count)), "text/csv")
      #expect(rest.text.split(separator: "\r\n").map(String.init) == [lines[0], lines[3], lines[4]])
      for (accept, isTable) in [
        ("*/*", false), ("application/json", false), ("text/csv, application/json", false), ("text/*", true),
        ("text/csv;q=0.5, application/json", false), ("text/csv, */*;q=0.1", true), ("text/csv, */*", true),
        ("application/json;q=0.2, TEXT/CSV;q=0.3", true), ("text/csv;q=0", false), ("image/png", false),
        ("", false),
      ] {
        let type = try await table("", accept).value(of: "Content-Type")
        #expect(type?.hasPrefix("text/csv") == isTable, "\(accept)")
      }
    }
  }
}
