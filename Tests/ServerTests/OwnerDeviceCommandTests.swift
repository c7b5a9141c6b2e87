import Foundation
import TestSupport
import Testing

/// An owner at a command line.
struct CommandLineOwner {
  let owner: TestOwner
  let registry: TestRegistry
  let directory = TemporaryDirectory()
  let environment: [String]

  init(at registry: TestRegistry) async throws {
    self.registry = registry
    owner = try await registry.newOwner()
    environment = [
      "DEVICE_REGISTRY_URL=http://127.0.0.1:\(registry.client.port)",
      "DEVICE_REGISTRY_TOKEN_FILE=\(try tokenFile(owner.token, in: directory))", "PATH=/usr/bin:/bin",
    ]
  }

  func run(_ arguments: String...) async throws -> Program.Result {
    try await Program.run(arguments, environment)
  }

  /// Runs a command that must succeed, and returns what it prints.
  @discardableResult
  func output(_ arguments: String...) async throws -> String {
    let result = try await Program.run(arguments, environment)
    try #require(result.status == 0, "\(arguments): \(result.errors)")
    return result.output
  }

  /// Runs a command on a terminal with a number of columns, and answers its question.
  func onTerminal(
    _ arguments: String..., columns: Int = 120, answer: String = "", environment more: [String] = []
  ) async throws -> Program.Result {
    let script = #filePath.prefix(through: #filePath.lastIndex(of: "/")!) + "terminal.py"
    return try await Program.run(
      [String(script), "\(columns)", answer, Program.built] + arguments, environment + ["TERM=xterm"] + more,
      executable: "/usr/bin/python3")
  }

  /// The device as the registry has it.
  func device(_ id: String) async throws -> [String: Any] {
    try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner).object()
  }

  /// Registers a device with a secret in a file, and returns its id.
  @discardableResult
  func register(_ name: String, _ options: String...) async throws -> String {
    let arguments = ["devices", "register", name, "--secret-file", "\(directory.path)/\(UUID().uuidString)"]
    let result = try await Program.run(arguments + options, environment)
    try #require(result.status == 0, "\(result.errors)")
    return String(result.output.dropLast())
  }
}

extension DeviceRegistry {
  @Suite("The owner's commands on devices and signals") struct OwnerDeviceCommands {
    @Test(arguments: DatabaseKind.allCases)
    func `A device is registered, found by name and by id, renamed, and gets a new secret`(_ kind: DatabaseKind)
      async throws
    {
      let owner = try await CommandLineOwner(at: registry(kind))
      let file = "\(owner.directory.path)/secret"
      let id = try await owner.output("devices", "register", "EA-7", "--secret-file", file).dropLast()
      #expect(UUID(uuidString: String(id)) != nil)
      #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
      let secret = try String(contentsOfFile: file, encoding: .utf8).dropLast()
      let device = TestDevice(id: String(id), secret: String(secret))

      let renamed = try await owner.output("devices", "rename", "EA-7", "EA-7 London", "--output", "json")
      #expect(renamed.contains(#""device_name":"EA-7 London""#))
      // Byte for byte.
      let answer = try await owner.registry.ask("GET", "/api/v1/devices/\(id)", as: owner.owner)
      #expect(
        try await owner.output("devices", "show", "EA-7 London", "--output", "json") == answer.text + "\n")
      let shown = try await owner.output("devices", "show", id.uppercased())
      for word in ["EA-7 London", String(id), "active", "status reason"] { #expect(shown.contains(word)) }

      #expect(try await owner.registry.whoami(device).status == 200)
      let rotated = try await owner.run("devices", "rotate", "EA-7 London", "--secret-file", file)
      #expect(rotated.status == 2 && rotated.errors.contains("it exists; name a new file"), "\(rotated.errors)")
      let json = try await owner.output(
        "devices", "rotate", "EA-7 London", "--secret-file", file + ".new", "--grace", "0", "--reason", "moved",
        "--output", "json")
      let newSecret = try String(contentsOfFile: file + ".new", encoding: .utf8).dropLast()
      #expect(json.contains(String(id)) && !json.contains("secret\"") && !json.contains("argon2id"))
      #expect(try await owner.registry.refusal(of: device) == "signature-invalid")
      #expect(
        try await owner.registry.whoami(TestDevice(id: String(id), secret: String(newSecret))).status == 200)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A secret is printed only on request; without a place for it nothing is registered`(
      _ kind: DatabaseKind
    )
      async throws
    {
      let owner = try await CommandLineOwner(at: registry(kind))
      let nowhere = try await owner.run("devices", "register", "EA-1")
      #expect(
        nowhere.status == 2 && nowhere.errors.contains("--secret-file FILE is missing"), "\(nowhere.errors)")
      #expect(try await owner.output("devices", "list", "--output", "json") == "[]\n")
      let shown = try await owner.output("devices", "register", "EA-1", "--show-secret")
      let secret = try #require(shown.firstMatch(of: /secret +([0-9a-f]{64})/)).1
      let id = try #require(shown.firstMatch(of: /id +([0-9a-f-]{36})/)).1
      #expect(
        try await owner.registry.whoami(TestDevice(id: String(id), secret: String(secret))).status == 200)
      let file = "\(owner.directory.path)/taken"
      let taken = try await owner.run("devices", "register", "EA-1", "--secret-file", file)
      #expect(taken.status == 1 && taken.errors.contains("device-name-taken"), "\(taken.errors)")
      #expect(!FileManager.default.fileExists(atPath: file))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Devices are revoked after a question, which is refused without a terminal`(_ kind: DatabaseKind)
      async throws
    {
      let owner = try await CommandLineOwner(at: registry(kind))
      let (first, second) = (try await owner.register("EA-1"), try await owner.register("EA-2"))
      let unasked = try await owner.run("devices", "revoke", "EA-1")
      #expect(unasked.status == 3 && unasked.errors.contains("--yes"), "\(unasked.errors)")
      let refused = try await owner.onTerminal("devices", "revoke", "EA-1", second, answer: "no")
      #expect(
        refused.status == 3 && refused.output.contains("Revoke 2 devices? That is final."), "\(refused.output)")
      for id in [first, second] { #expect(try await owner.device(id)["status"] as? String == "active") }
      let agreed = try await owner.onTerminal("devices", "revoke", "EA-1", "--reason", "sold", answer: "yes")
      #expect(agreed.status == 0 && agreed.output.contains("Revoke EA-1? That is final."), "\(agreed.output)")
      #expect(try await owner.device(first)["status_reason"] as? String == "sold")
      try await owner.output("devices", "revoke", "EA-2", "--yes")
      #expect(try await owner.device(second)["status"] as? String == "revoked")

      // A name is free again after the revocation, and then means the new device.
      let third = try await owner.register("EA-1")
      #expect(try await owner.output("devices", "show", "EA-1", "--output", "json").contains(third))
      try await owner.output("devices", "revoke", "EA-1", "--yes")
      let ambiguous = try await owner.run("devices", "show", "EA-1")
      #expect(ambiguous.status == 1 && ambiguous.errors.contains("2 revoked devices"), "\(ambiguous.errors)")
      let unknown = try await owner.run("devices", "show", "EA-9")
      #expect(unknown.status == 1 && unknown.errors.contains("no device named EA-9"), "\(unknown.errors)")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Lists are a table, the registry's JSON, or CSV with the times`(_ kind: DatabaseKind) async throws {
      let owner = try await CommandLineOwner(at: registry(kind))
      let empty = try await owner.output("devices", "list")
      #expect(empty.hasPrefix("NAME") && empty.split(separator: "\n").count == 1)
      try await owner.register("=1+1,\"x\"")
      let id = try await owner.register("EA-2")
      let answer = try await owner.registry.ask("GET", "/api/v1/devices", as: owner.owner)
      let json = try await owner.output("devices", "list", "--output", "json")
      #expect(json.replacing("\n", with: "") == answer.text)
      let csv = try await owner.output("devices", "list", "--output", "csv").split(separator: "\r\n")
      #expect(csv.count == 3 && csv[0].hasPrefix("name,status,mode,online,last_seen,"))
      #expect(csv[1].hasPrefix(#""'=1+1,""x""","#), "\(csv[1])")
      let created = try #require(try await owner.device(id)["created_at"] as? String)
      #expect(csv[2].hasPrefix("EA-2,active,normal,false,,") && csv[2].contains(created), "\(csv[2])")
      let table = try await owner.output("devices", "list").split(separator: "\n")
      #expect(table.count == 3 && table[2].hasPrefix("EA-2") && table[2].contains(/now| ago/))
      // Columns are aligned.
      #expect(Set(table.map { $0.firstRange(of: "active")?.lowerBound.utf16Offset(in: $0) }).count == 2)
    }

    @Test func `A table fits the terminal, and has colours there only`() async throws {
      let owner = try await CommandLineOwner(at: registry(.sqlite))
      try await owner.register("The Expert Advisor with the longest name of all, in 東京")
      for columns in [60, 80, 200] {
        let lines = try await owner.onTerminal("devices", "list", columns: columns, environment: ["NO_COLOR=1"])
          .output.split(whereSeparator: \.isNewline)
        #expect(lines.count == 2 && lines.allSatisfy { $0.count <= columns }, "\(lines)")
        #expect(lines.allSatisfy { !$0.contains("\u{1B}") })
        #expect(lines[1].contains("…") == (columns < 200))
      }
      let painted = try await owner.onTerminal("devices", "list").output
      #expect(painted.contains("\u{1B}[32mactive"))
      #expect(try await !owner.output("devices", "list").contains("\u{1B}"))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `What a device did is printed by hour or day, and of all devices together or each`(
      _ kind: DatabaseKind
    )
      async throws
    {
      let owner = try await CommandLineOwner(at: registry(kind))
      let device = try await owner.registry.newSignedDevice(of: owner.owner, "EA-1")
      #expect(try await owner.registry.poll(device).status == 200)
      try await owner.registry.until("it is counted") {
        try await !owner.registry.ask("GET", "/api/v1/stats", as: owner.owner).array().isEmpty
      }
      let csv = try await owner.output(
        "devices", "stats", "EA-1", "--from", "2d", "--step", "day", "--output", "csv")
      let lines = csv.split(separator: "\r\n")
      #expect(lines[0].hasPrefix("from,polls,online_seconds,signals,placed"))
      #expect(lines.last?.contains("T00:00:00Z,1,0,0,") == true, "\(csv)")
      #expect(try await owner.output("stats", "--output", "json").contains(#""polls":1"#))
      let byDevice = try await owner.output("stats", "--by", "device")
      #expect(byDevice.contains("EA-1") && byDevice.contains("ONLINE SECONDS"), "\(byDevice)")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Signals are sent to devices by name, listed, and shown with what became of them`(_ kind: DatabaseKind)
      async throws
    {
      let owner = try await CommandLineOwner(at: registry(kind))
      let device = try await owner.registry.newSignedDevice(of: owner.owner, "EA-1")
      try await owner.register("EA-2")
      let id = try await owner.output(
        "signals", "send", "EA-1", device.id, "--payload", #"{"lots": 1.10}"#, "--ttl", "60"
      ).dropLast()
      #expect(try await owner.registry.polledIDs(device) == [String(id)])
      _ = try await owner.registry.ack(
        device, [["signal_id": String(id), "status": "placed", "broker_ticket": "42"]])
      let shown = try await owner.output("signals", "show", String(id))
      #expect(shown.contains(#"{"lots": 1.10}"#) && shown.contains("acked") && shown.contains("42"), "\(shown)")
      let file = "\(owner.directory.path)/order.json"
      try #"{"symbol": "EURUSD"}"#.write(toFile: file, atomically: true, encoding: .utf8)
      let json = try await owner.output("signals", "send", "--all", "--payload-file", file, "--output", "json")
      #expect(json.contains(#""devices":2"#))
      let list = try await owner.output("signals", "list", "--output", "csv").split(separator: "\r\n")
      #expect(list.count == 3 && list[1].contains(",2,") && list[2].hasPrefix("\(id),1,"))
      let none = try await owner.run("signals", "send", "--payload", "{}")
      #expect(none.status == 2 && none.errors.contains("name devices, or one of --all"), "\(none.errors)")
      let wrong = try await owner.run("signals", "send", "--all", "--payload", "[]")
      #expect(wrong.status == 2 && wrong.errors.contains("payload must be a JSON object"), "\(wrong.errors)")
    }

    /// Two devices of a customer, one of another, and a revoked one.
    private func fleet(_ kind: DatabaseKind) async throws -> CommandLineOwner {
      let owner = try await CommandLineOwner(at: registry(kind))
      for name in ["EA-1", "EA-2", "Other-3", "Old-4"] { try await owner.register(name) }
      try await owner.output("devices", "label", "EA-1", "EA-2", "--set", "customer:acme", "--set", "vps:a")
      try await owner.output("devices", "revoke", "Old-4", "--yes")
      return owner
    }

    /// A column of all devices, by name.
    private func column(_ name: String, of owner: CommandLineOwner) async throws -> [String: String] {
      let lines = try await owner.output("devices", "list", "--output", "csv").split(separator: "\r\n")
        .map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
      let index = try #require(lines[0].firstIndex(of: name))
      return Dictionary(uniqueKeysWithValues: lines.dropFirst().map { ($0[0], $0[index]) })
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Devices are suspended together, which is counted first, and resumed`(_ kind: DatabaseKind)
      async throws
    {
      let owner = try await fleet(kind)
      let dry = try await owner.output(
        "devices", "suspend", "--label", "customer:acme", "--dry-run", "--output", "csv")
      #expect(dry == "matched,changed,unchanged,refused,dry_run\r\n2,2,0,0,true\r\n")
      let other = try await owner.run("devices", "suspend", "--label", "customer:acme", "--expect", "3")
      #expect(other.status == 1 && other.errors.contains("expectation-failed"), "\(other.errors)")
      let before = ["EA-1": "active", "EA-2": "active", "Other-3": "active", "Old-4": "revoked"]
      #expect(try await column("status", of: owner) == before)
      let done = try await owner.output(
        "devices", "suspend", "--label", "customer:acme", "--expect", "2", "--reason", "invoice 7", "--until",
        "7d")
      #expect(done == "changed 2 of 2 devices\n")
      let after = ["EA-1": "suspended", "EA-2": "suspended", "Other-3": "active", "Old-4": "revoked"]
      #expect(try await column("status", of: owner) == after)
      let shown = try await owner.output("devices", "show", "EA-1")
      #expect(shown.contains("invoice 7") && shown.contains(/suspended until +in [67] d/), "\(shown)")
      try await owner.output("devices", "resume", "EA-1", "EA-2", "--reason", "paid")
      #expect(try await column("status", of: owner) == before)
      let revoked = try await owner.run("devices", "suspend", "EA-1", "Old-4")
      #expect(revoked.status == 4 && revoked.output.contains(/Old-4 +device-revoked/), "\(revoked.output)")
      #expect(revoked.output.hasPrefix("changed 1 of 2 devices, 1 refused\n"))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Labels and ends of the devices in a file are changed together`(_ kind: DatabaseKind) async throws {
      let owner = try await fleet(kind)
      let list = "\(owner.directory.path)/list"
      let id = try #require(try await column("id", of: owner)["Other-3"])
      try "# some\nEA-1\n\n \(id) \n".write(toFile: list, atomically: true, encoding: .utf8)
      try await owner.output("devices", "label", "--ids-file", list, "--set", "role:primary", "--remove", "vps")
      #expect(
        try await column("labels", of: owner) == [
          "EA-1": "customer:acme role:primary", "EA-2": "customer:acme vps:a", "Other-3": "role:primary",
          "Old-4": "",
        ])
      try await owner.output("devices", "expire", "EA-1", "--at", "2031-01-31T00:00:00Z")
      #expect(try await column("expires_at", of: owner)["EA-1"] == "2031-01-31T00:00:00.000Z")
      try await owner.output("devices", "expire", "--all", "--never")
      #expect(try await column("expires_at", of: owner)["EA-1"] == "")
      let ids = try await owner.output("devices", "list", "--output", "ids").split(separator: "\n")
      #expect(ids.count == 4 && ids[2] == id)
      for (wrong, what) in [
        (["--label", "role"], "--label must be KEY:VALUE"), (["--ids-file", "/dev/null"], "has 0 devices"),
        (["--ids-file", "/none"], "No such file"), ([], "name devices, or one of"),
        (["EA-1", "--all"], "--all excludes names"), (["--all", "--group", "g"], "exclude each other"),
      ] {
        let result = try await Program.run(["devices", "resume"] + wrong, owner.environment)
        #expect(result.status == 2 && result.errors.contains(what), "\(result.errors)")
      }
      let when = try await owner.run("devices", "suspend", "EA-1", "--until", "tomorrow")
      #expect(when.status == 2 && when.errors.contains("30m, 12h or 7d"), "\(when.errors)")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Halting asks with the number of devices, and waits until terminals confirm`(_ kind: DatabaseKind)
      async throws
    {
      let owner = try await CommandLineOwner(at: registry(kind))
      let device = try await owner.registry.newSignedDevice(of: owner.owner, "EA-1")
      try await owner.register("EA-2")
      let refused = try await owner.onTerminal("devices", "halt", "--all", answer: "no")
      #expect(refused.status == 3 && refused.output.contains("Halt all 2 devices?"), "\(refused.output)")
      #expect(try await column("mode", of: owner) == ["EA-1": "normal", "EA-2": "normal"])
      let late = try await owner.run("devices", "halt", "--all", "--yes", "--reason", "news", "--wait", "0")
      #expect(late.status == 4 && late.output.contains("0 of 2 devices confirmed halted"), "\(late.output)")
      #expect(late.output.contains("EA-1") && late.output.contains("EA-2"))
      let halting = try Program(["devices", "halt", "EA-1", "--yes", "--wait", "60"], owner.environment)
      _ = try await halting.errorLine(containing: "0 of 1 confirmed")
      let mode = try #require(try await owner.registry.poll(device).object()["trading_mode"] as? [String: Any])
      #expect(mode["mode"] as? String == "halted" && mode["reason"] as? String == "news")
      _ = try await owner.registry.poll(device, query: "?mode_version=\(mode["version"] as? Int ?? 0)")
      let done = await halting.end()
      #expect(done.status == 0 && done.output.contains("1 of 1 devices confirmed halted"), "\(done.errors)")
      try await owner.output("devices", "mode", "close_only", "EA-1")
      #expect(try await column("mode", of: owner) == ["EA-1": "close_only?", "EA-2": "halted?"])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A signal is sent to devices with labels, and cancelled`(_ kind: DatabaseKind) async throws {
      let owner = try await fleet(kind)
      let id = try await owner.output("signals", "send", "--label", "customer:acme", "--payload", "{}")
        .dropLast()
      let cancelled = try await owner.output(
        "signals", "cancel", String(id), "--reason", "wrong", "--output", "json")
      #expect(cancelled.contains(#""cancelled":2"#) && cancelled.contains(#""too_late":0"#), "\(cancelled)")
      #expect(try await owner.output("signals", "show", String(id)).contains(/EA-1 +cancelled/))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A device is bound to an account, and released from it`(_ kind: DatabaseKind) async throws {
      let owner = try await CommandLineOwner(at: registry(kind))
      let id = try await owner.register("EA-1")
      let shown = try await owner.output("devices", "bind", "EA-1", "5012345", "Broker-Demo 01")
      #expect(shown.contains("5012345 Broker-Demo 01"))
      #expect(
        try await owner.device(id)["bound_account"] as? [String: String]
          == ["login": "5012345", "server": "Broker-Demo 01"])
      try await owner.output("devices", "unbind", id)
      #expect(try await owner.device(id)["bound_account"] is NSNull)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Enrolment codes give devices labels, groups and an end`(_ kind: DatabaseKind) async throws {
      let owner = try await CommandLineOwner(at: registry(kind))
      try await owner.output("groups", "create", "desk")
      let codes = try await owner.output(
        "enrolments", "create", "--name", "EA-1", "--label", "plan:trial", "--group", "desk", "--expires-at",
        "2031-01-31T00:00:00Z", "--show-codes", "--output", "csv")
      let row = try #require(codes.split(separator: "\r\n").last).split(separator: ",")
      let answer = try await owner.registry.ask(
        "POST", "/api/v1/device/enrol", json: ["code": String(row[1])])
      let device = try await owner.device(try #require(try answer.object()["id"] as? String))
      #expect(device["labels"] as? [String: String] == ["plan": "trial"])
      #expect(device["groups"] as? [String] == ["desk"])
      #expect(device["expires_at"] as? String == "2031-01-31T00:00:00.000Z")
      let both = try await owner.run(
        "enrolments", "create", "--device", "EA-1", "--label", "plan:trial", "--show-codes")
      #expect(both.status == 2)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Codes for terminals are printed on request or written to a new file, listed, and deleted`(
      _ kind: DatabaseKind
    ) async throws {
      let owner = try await CommandLineOwner(at: registry(kind))
      let nowhere = try await owner.run("enrolments", "create")
      #expect(
        nowhere.status == 2 && nowhere.errors.contains("--codes-file FILE is missing"), "\(nowhere.errors)")
      let shown = try await owner.output(
        "enrolments", "create", "--count", "2", "--name", "desk", "--show-codes")
      #expect(shown.matches(of: /([A-Z2-7]{4}-){6}[A-Z2-7]{2}/).count == 2, "\(shown)")
      let device = try await owner.registry.newSignedDevice(of: owner.owner, "EA-1")
      let file = "\(owner.directory.path)/codes"
      let json = try await owner.output(
        "enrolments", "create", "--device", "EA-1", "--codes-file", file, "--output", "json")
      #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
      let code = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .newlines)
      #expect(!json.contains(code))
      let enrolled = try await owner.registry.ask("POST", "/api/v1/device/enrol", json: ["code": code])
      #expect(try enrolled.string("id") == device.id, "\(enrolled.text)")
      let list = try await owner.output("enrolments", "list", "--output", "csv").split(separator: "\r\n")
      #expect(list.count == 4 && list.contains { $0.contains(",used,") && $0.contains(device.id) }, "\(list)")
      let open = try #require(list.first { $0.contains(",open,") }).prefix { $0 != "," }
      #expect(try await owner.output("enrolments", "delete", String(open)) == "deleted \(open)\n")
    }

    /// The names in a list with these options, in the order of registration.
    private func names(_ owner: CommandLineOwner, _ options: String...) async throws -> [String] {
      let result = try await Program.run(["devices", "list", "--output", "csv"] + options, owner.environment)
      try #require(result.status == 0, "\(result.errors)")
      return result.output.split(separator: "\r\n").dropFirst().map { String($0.prefix { $0 != "," }) }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Lists are filtered by status, labels, group, name, presence and confirmation`(_ kind: DatabaseKind)
      async throws
    {
      let owner = try await fleet(kind)
      try await owner.output("groups", "create", "london", "--description", "LD4")
      try await owner.register("EA-5", "--group", "london", "--label", "customer:acme", "--expires-at", "30d")
      #expect(try await names(owner, "--status", "active") == ["EA-1", "EA-2", "Other-3", "EA-5"])
      #expect(try await names(owner, "--status", "revoked,suspended") == ["Old-4"])
      #expect(try await names(owner, "--label", "customer:acme", "--label", "vps") == ["EA-1", "EA-2"])
      #expect(try await names(owner, "--group", "london") == ["EA-5"])
      #expect(try await names(owner, "--search", "oTHer") == ["Other-3"])
      #expect(try await names(owner, "--online") == [])
      #expect(try await names(owner, "--offline", "--unconfirmed") == ["EA-1", "EA-2", "Other-3", "EA-5"])
      #expect(try await names(owner, "--seen-before", "1h") == [])
      let wrong = try await owner.run("devices", "list", "--seen-before", "yesterday")
      #expect(wrong.status == 2 && wrong.errors.contains("30m, 12h or 7d"), "\(wrong.errors)")
      let summary = try await owner.output("devices", "summary")
      #expect(summary.contains(/total +5/) && summary.contains(/revoked +1/), "\(summary)")
      #expect(summary.contains(/group london +1/), "\(summary)")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Groups are created, filled, shown, emptied and deleted`(_ kind: DatabaseKind) async throws {
      let owner = try await fleet(kind)
      try await owner.output("groups", "create", "london", "--description", "LD4")
      try await owner.output("groups", "add", "london", "--label", "customer:acme")
      try await owner.output("groups", "add", "london", "Other-3")
      try await owner.output("groups", "remove", "london", "EA-1")
      #expect(try await names(owner, "--group", "london") == ["EA-2", "Other-3"])
      let shown = try await owner.output("groups", "show", "london")
      #expect(shown.contains("LD4") && shown.contains("Other-3") && !shown.contains("EA-1"), "\(shown)")
      #expect(
        try await owner.output("groups", "list", "--output", "csv")
          == "name,devices,description\r\nlondon,2,LD4\r\n")
      #expect(
        try await owner.output("signals", "send", "--group", "london", "--payload", "{}", "--output", "json")
          .contains(#""devices":2"#))
      #expect(try await owner.run("groups", "delete", "london").status == 3)
      try await owner.output("groups", "delete", "london", "--yes")
      #expect(try await owner.run("groups", "show", "london").status == 1)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Revoked devices are deleted, others are not`(_ kind: DatabaseKind) async throws {
      let owner = try await fleet(kind)
      let active = try await owner.run("devices", "delete", "EA-1", "--yes")
      #expect(active.status == 1 && active.errors.contains("device-not-revoked"), "\(active.errors)")
      #expect(try await owner.run("devices", "delete", "Old-4").status == 3)
      let ids = "\(owner.directory.path)/ids"
      try await owner.output("devices", "list", "--status", "revoked", "--output", "ids").write(
        toFile: ids, atomically: true, encoding: .utf8)
      try await owner.output("devices", "delete", "--ids-file", ids, "--yes")
      #expect(try await names(owner) == ["EA-1", "EA-2", "Other-3"])
    }
  }
}
