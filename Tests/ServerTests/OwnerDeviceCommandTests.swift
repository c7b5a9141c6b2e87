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
      #expect(refused.status == 3 && refused.output.contains("Revoke 2 devices forever?"), "\(refused.output)")
      for id in [first, second] { #expect(try await owner.device(id)["status"] as? String == "active") }
      let agreed = try await owner.onTerminal("devices", "revoke", "EA-1", "--reason", "sold", answer: "yes")
      #expect(agreed.status == 0 && agreed.output.contains("Revoke EA-1 forever?"), "\(agreed.output)")
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
      #expect(table.count == 3 && table[2].hasPrefix("EA-2") && table[2].contains(" ago"))
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
      #expect(none.status == 2 && none.errors.contains("name the devices, or --all"), "\(none.errors)")
      let wrong = try await owner.run("signals", "send", "--all", "--payload", "[]")
      #expect(wrong.status == 2 && wrong.errors.contains("payload must be a JSON object"), "\(wrong.errors)")
    }
  }
}
