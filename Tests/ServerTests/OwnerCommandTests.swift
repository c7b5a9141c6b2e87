import Foundation
import TestSupport
import Testing

/// `device-registry events` and `device-registry webhooks`, as far as they go without a registry.
@Suite("The owner's commands")
struct OwnerCommandTests {
  private let directory = TemporaryDirectory()

  private func token(_ text: String = "token") throws -> [String] {
    ["--token-file", try tokenFile(text, in: directory)]
  }

  @Test(arguments: [
    ("events follow", ["--after", "--from-start", "--cursor-file", "--types", "--device", "--output"]),
    ("webhooks create", ["RECEIVER", "--secret-file", "--types"]),
    ("devices register", ["NAME", "--secret-file", "--show-secret", "examples:"]),
    ("signals send", ["DEVICE...", "--payload", "--payload-file", "--all", "--ttl", "examples:"]),
  ])
  func `help`(command: String, words: [String]) async throws {
    let path = command.split(separator: " ").map(String.init)
    let help = try await Program.run(path + ["--help"])
    #expect(help.status == 0)
    let common = ["--token-file", "DEVICE_REGISTRY_TOKEN_FILE", "--url", "DEVICE_REGISTRY_URL", "--ca-file"]
    for word in words + common { #expect(help.output.contains(word)) }
    #expect(help.output.split(separator: "\n").allSatisfy { $0.count <= 120 })
    #expect(try await Program.run([path[0], "--help"]).output.contains("\n  \(path[1]) "))
    #expect(try await Program.run(["--help"]).output.contains("\n  \(path[0]) "))
  }

  @Test(arguments: [
    (["events"], "missing argument follow; see "), (["events", "lead"], "must be followed by follow"),
    (["events", "follow"], "missing option --token-file, or DEVICE_REGISTRY_TOKEN_FILE"),
    (["events", "follow", "now"], "argument too many"),
    (["events", "follow", "--after", "a", "--from-start", "--token-file", "t"], "exclude each other"),
    (["events", "follow", "--output", "xml"], "--output must be text or json"),
    (["events", "follow", "--types="], "--types must not be empty"),
    (["events", "follow", "--token", "hunter2"], "Unknown option --token; see --help"),
    (["webhooks"], "missing argument list, create, show, test, delete or enable; see "),
    (["webhooks", "fly"], "must be followed by list, create"), (["webhooks", "list"], "--token-file"),
    (["webhooks", "show"], "missing argument ID; usage: "),
    (["webhooks", "create"], "missing argument RECEIVER; usage: "),
    (["webhooks", "create", "https://example.com/"], "missing option --secret-file"),
    (["webhooks", "list", "--types", "a"], "Unknown option --types"),
    (["webhook", "list"], "device-registry webhooks"),
    (["devices", "rename", "a"], "missing argument NEW_NAME"),
    (["devices", "show"], "missing argument DEVICE"),
    (["devices", "list", "--output", "xml"], "--output must be table, json, csv or ids"),
    (["devices", "rotate", "a", "--grace", "86401"], "--grace must be a whole number from 0 to 86400"),
    (
      ["devices", "register", "a", "--secret-file", "f", "--show-secret", "--token-file", "t"],
      "exclude each other"
    ),
    (["completion", "tcsh"], "SHELL must be bash, zsh or fish"), (["completion"], "missing argument SHELL"),
  ])
  func `name what is wrong, and exit with 2`(arguments: [String], what: String) async throws {
    let result = try await Program.run(arguments)
    #expect(result.status == 2 && result.output.isEmpty)
    #expect(result.errors.contains(what), "\(result.errors)")
    #expect(!result.errors.contains("hunter2"))
  }

  @Test(arguments: [
    (["signals", "show", "x"], "id must be a UUID"), (["devices", "revoke"], "name devices, or one of --all"),
    (["signals", "send", "a"], "--payload JSON is missing"),
    (["webhooks", "show", "x"], "id must be a UUID"),
    (["webhooks", "list", "--url", "http://registry.example.com"], "plain HTTP"),
    (
      ["webhooks", "create", "https://example.com/", "--secret-file", "/dev/null"], "it exists; name a new file"
    ),
    (["events", "follow", "--cursor-file", "/dev/null"], "it has no cursor"),
    (["events", "follow", "--cursor-file", "/"], "--cursor-file / cannot be read"),
  ])
  func `name values that are wrong, before anything is sent`(arguments: [String], what: String) async throws {
    let result = try await Program.run(arguments + token())
    #expect(result.status == 2 && result.output.isEmpty)
    #expect(result.errors.contains(what), "\(result.errors)")
  }

  @Test func `refuse a token that others may read, that is absent, or that is several words`() async throws {
    let open = try tokenFile("hunter2", in: directory, permissions: 0o644)
    for (file, what) in [
      (open, "chmod 600"), ("/none", "No such file"),
      (try tokenFile("hunter2 hunter3", in: directory), "must contain a token"),
    ] {
      let result = try await Program.run(["webhooks", "list"], ["DEVICE_REGISTRY_TOKEN_FILE=\(file)"])
      #expect(
        result.status == 2 && result.errors.contains(what) && result.errors.contains(file), "\(result.errors)")
      #expect(!result.errors.contains("hunter"))
    }
  }

  @Test func `exit with 1 if the registry is out of reach`() async throws {
    let result = try await Program.run(
      ["webhooks", "list"] + token(), ["DEVICE_REGISTRY_URL=http://127.0.0.1:1"])
    #expect(result.status == 1 && result.errors.contains("cannot reach the registry"), "\(result.errors)")
    let follower = try Program(["events", "follow", "--url", "http://127.0.0.1:1"] + token())
    _ = try await follower.errorLine(containing: "trying again")
    follower.send(SIGTERM)
    #expect(await follower.end().status == 0)
  }
}

/// A file that has a token and a line break in it, and is its owner's alone.
func tokenFile(_ token: String, in directory: TemporaryDirectory, permissions: Int = 0o600) throws -> String {
  let path = "\(directory.path)/\(UUID().uuidString)"
  try #require(
    FileManager.default.createFile(
      atPath: path, contents: Data((token + "\n").utf8), attributes: [.posixPermissions: permissions]))
  return path
}

extension DeviceRegistry {
  @Suite("The owner's commands and a registry") struct OwnerCommands {
    private let directory = TemporaryDirectory()

    private func follow(
      _ owner: TestOwner, at registry: TestRegistry, _ arguments: [String] = []
    ) throws -> Program {
      try Program(
        ["events", "follow", "--token-file", try tokenFile(owner.token, in: directory)] + arguments,
        ["DEVICE_REGISTRY_URL=http://127.0.0.1:\(registry.client.port)"])
    }

    /// The cursor that a follower prints when a signal ends it.
    private func end(_ follower: Program) async throws -> String {
      follower.send(SIGINT)
      let result = await follower.end()
      #expect(result.status == 0, "\(result.errors)")
      let line = try #require(
        result.errors.split(separator: "\n").last { $0.contains("to continue here: --after ") })
      return String(line.split(separator: " ").last!)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Events are followed from now on, and continued at the cursor that is printed at the end`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner, "EA-Before")
      _ = try await registry.feed(of: owner, count: 2)
      let follower = try follow(owner, at: registry)
      _ = try await follower.errorLine(containing: "printing what happens from now on; Ctrl-C ends")
      try await registry.until("it waits") { try await registry.metric("parked_readers") ?? 0 >= 1 }
      _ = try await registry.ask(
        "PATCH", "/api/v1/devices/\(device.id)", as: owner, json: ["device_name": "EA-After"])
      let line = await follower.outputLine()
      let fields = line.split(separator: "\t").map(String.init)
      #expect(
        fields.count == 5 && fields.first?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil,
        "\(line)")
      #expect(
        fields.dropFirst() == [
          "device.updated", device.id, "owner \(owner.id)", "device_name: EA-Before -> EA-After",
        ])
      let cursor = try await end(follower)
      try await registry.revoke(device, of: owner)
      let second = try follow(owner, at: registry, ["--after", cursor, "--output", "json"])
      let json = await second.outputLine()
      let event = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
      #expect(event?["type"] as? String == "device.revoked")
      // Byte for byte.
      #expect(try await registry.ask("GET", "/api/v1/events?after=\(cursor)", as: owner).text.contains(json))
      _ = try await end(second)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A filter holds, and a file keeps the cursor`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      _ = try await registry.newSignedDevice(of: owner, "EA-Other")
      _ = try await registry.newSignal(of: owner, to: [device])
      _ = try await registry.feed(of: owner, count: 4)
      let file = "\(directory.path)/cursor"
      let kept = ["--from-start", "--cursor-file", file]
      let first = try follow(owner, at: registry, kept + ["--types", "device.*", "--device", device.id])
      #expect(await first.outputLine().contains("\tdevice.registered\t\(device.id)\t"))
      let cursor = try await end(first)
      #expect(try String(contentsOfFile: file, encoding: .utf8) == cursor + "\n")
      try await registry.revoke(device, of: owner)
      let second = try follow(owner, at: registry, kept)
      #expect(await second.outputLine().contains("\tdevice.revoked\t\(device.id)\t"))
      #expect(try await end(second) != cursor)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A refused token, an expired cursor and an unknown type end it with 1 and what to do`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let refused = try await follow(TestOwner(id: "nobody"), at: registry).end()
      #expect(refused.status == 1 && refused.errors.contains("40"), "\(refused.errors)")
      let file = "\(directory.path)/cursor"
      try String(repeating: "f39_", count: 8).write(toFile: file, atomically: true, encoding: .utf8)
      let expired = try await follow(owner, at: registry, ["--cursor-file", file]).end()
      #expect(expired.status == 1 && expired.errors.contains("410 cursor-expired"), "\(expired.errors)")
      #expect(expired.errors.contains("remove \(file); then begin with --from-start"))
      let unknown = try await follow(owner, at: registry, ["--types", "device.revokd"]).end()
      #expect(unknown.status == 1 && unknown.errors.contains("`device.revoked` was meant"), "\(unknown.errors)")
    }

    @Test func `A full disk ends it with 1, and no cursor is skipped`() async throws {
      let registry = try registry(.sqlite)
      let owner = try await registry.newOwner()
      let command =
        "\(Program.built) events follow --from-start --url http://127.0.0.1:\(registry.client.port) --token-file "
        + "\(try tokenFile(owner.token, in: directory)) >/dev/full"
      let result = try await Program.run(["-c", command], ["PATH=/usr/bin:/bin"], executable: "/bin/sh")
      #expect(result.status == 1, "\(result.errors)")
      #expect(result.errors.contains("cannot write to standard output: No space left"), "\(result.errors)")
      // Nothing was printed.
      #expect(!result.errors.contains("--after"))
    }
  }
}

@Suite("device-registry webhooks", .timeLimit(.minutes(2))) struct WebhooksCommandTests {
  @Test(arguments: DatabaseKind.allCases)
  func `Webhooks are created, listed, shown, tested, enabled and deleted`(_ kind: DatabaseKind) async throws {
    let directory = TemporaryDirectory()
    let key = "\(directory.path)/key"
    try String(repeating: "5a", count: 32).write(toFile: key, atomically: true, encoding: .utf8)
    let settings = ["SEALING_KEY_FILE": key, "WEBHOOK_ALLOW_PRIVATE": "true"]
    try await WebhookReceiver.with { receiver in
      try await TestRegistry.with(await TestDatabase(forEvents: kind), settings: settings) { registry in
        let owner = try await registry.newOwner()
        let place = [
          "--token-file", try tokenFile(owner.token, in: directory), "--url",
          "http://127.0.0.1:\(registry.client.port)",
        ]
        func run(_ arguments: String...) async throws -> Program.Result {
          try await Program.run(["webhooks"] + arguments + place)
        }
        #expect(try await run("list").output == "ID  STATUS  URL  TYPES  DESCRIPTION\n")
        let secret = "\(directory.path)/secret"
        let created = try await run(
          "create", receiver.url(), "--secret-file", secret, "--types", "device.*,signal.created",
          "--description", "chat")
        #expect(created.status == 0, "\(created.errors)")
        let id = String(created.output.dropLast())
        #expect(UUID(uuidString: id) != nil)
        let attributes = try FileManager.default.attributesOfItem(atPath: secret)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let text = try String(contentsOfFile: secret, encoding: .utf8)
        #expect(text.hasPrefix("whsec_") && text.hasSuffix("\n") && text.split(separator: "\n").count == 1)
        #expect(
          try await run("list", "--output", "csv").output
            == "id,status,url,types,description\r\n"
            + "\(id),active,\(receiver.url()),\"device.*,signal.created\",chat\r\n")
        let again = try await run("create", receiver.url(), "--secret-file", secret)
        #expect(again.status == 2 && again.errors.contains("it exists"))

        let shown = try await run("show", id)
        let object = try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [String: Any]
        #expect(object?["description"] as? String == "chat" && object?["secret"] == nil)
        let tested = try await run("test", id)
        #expect(tested.status == 0 && tested.output.contains(#""delivered":true"#), "\(tested.errors)")
        #expect(receiver.received.contains { $0.text.contains("webhook.test") })
        _ = try await registry.ask("PATCH", "/api/v1/webhooks/\(id)", as: owner, json: ["enabled": false])
        #expect(try await run("list").output.contains("  disabled  "))
        let enabled = try await run("enable", id)
        #expect(enabled.status == 0 && enabled.output.contains(#""status":"active""#), "\(enabled.errors)")
        #expect(try await run("delete", id).output == "deleted \(id)\n")
        let gone = try await run("show", id)
        #expect(gone.status == 1 && gone.output.isEmpty && gone.errors.contains("404"), "\(gone.errors)")
      }
    }
  }

  @Test func `A receiver that does not accept, and a registry without a sealing key, are exit status 1`()
    async throws
  {
    let directory = TemporaryDirectory()
    let key = "\(directory.path)/key"
    try String(repeating: "5a", count: 32).write(toFile: key, atomically: true, encoding: .utf8)
    let database = await TestDatabase(.sqlite)
    let secret = "\(directory.path)/secret"
    func run(_ arguments: [String], _ owner: TestOwner, _ registry: TestRegistry) async throws -> Program.Result
    {
      try await Program.run(
        ["webhooks"] + arguments + [
          "--token-file", try tokenFile(owner.token, in: directory), "--url",
          "http://127.0.0.1:\(registry.client.port)",
        ])
    }
    try await TestRegistry.with(database) { registry in
      let owner = try await registry.newOwner()
      let result = try await run(["create", "https://example.com/", "--secret-file", secret], owner, registry)
      #expect(result.status == 1 && result.errors.contains("sealing-key-missing"), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: secret))
    }
    let settings = ["SEALING_KEY_FILE": key, "WEBHOOK_ALLOW_PRIVATE": "true"]
    try await TestRegistry.with(database, settings: settings) { registry in
      let owner = try await registry.newOwner()
      let created = try await run(["create", "http://127.0.0.1:1/", "--secret-file", secret], owner, registry)
      let tested = try await run(["test", String(created.output.dropLast())], owner, registry)
      #expect(tested.status == 1 && tested.output.contains(#""delivered":false"#))
      #expect(tested.errors.contains("the receiver did not accept the event"), "\(tested.errors)")
    }
  }
}
