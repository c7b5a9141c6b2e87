import Foundation
import TestSupport
import Testing

/// `serve --check` and `status`, started as an operator starts them.
@Suite("The operator's commands", .timeLimit(.minutes(5)))
struct OperatorCommandTests {
  private let directory = TemporaryDirectory()
  private let secret = "JWT_SECRET=0123456789abcdef0123456789abcdef"

  /// A sealing key in a file.
  private func sealingKey(_ digits: String = "01") throws -> String {
    let path = "\(directory.path)/key-\(digits)"
    try Data((String(repeating: digits, count: 32) + "\n").utf8).write(to: URL(fileURLWithPath: path))
    #expect(chmod(path, 0o600) == 0)
    return "SEALING_KEY_FILE=\(path)"
  }

  private func environment(_ database: TestDatabase) throws -> [String] {
    [
      secret, "DATABASE_URL=\(database.url)", "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=127.0.0.1:0",
      try sealingKey(), "ARGON2_MEMORY_KIB=8",
    ]
  }

  private func check(_ environment: [String]) async throws -> Program.Result {
    try await Program.run(["serve", "--check"], environment)
  }

  /// The service, with its address and that of its metrics.
  private func serve(_ environment: [String]) async throws -> (Program, address: String, admin: String) {
    let program = try Program(["serve"], environment)
    let line = try await program.errorLine(containing: #""event":"listening""#)
    let address = try #require(line.firstMatch(of: /"address":"([^"]+)"/)).1
    let admin = try #require(line.firstMatch(of: /"admin_address":"([^"]+)"/)).1
    return (program, String(address), String(admin))
  }

  private func port(of address: String) throws -> UInt16 {
    try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
  }

  // MARK: serve --check

  @Test(arguments: DatabaseKind.allCases)
  func `A check of a new database finds no problem, and creates nothing`(kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let result = try await check(try environment(database))
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.hasSuffix("no problem was found\n"))
    #expect(result.output.contains("has no registry yet: serve creates it when it starts"))
    #expect(result.output.contains("ok       settings      6 of "))
    switch kind {
    case .sqlite: #expect(try FileManager.default.contentsOfDirectory(atPath: database.directory.path).isEmpty)
    case .postgres:
      #expect(try await database.first("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A check says which migrations there are, which will come, and who serves the database`(
    kind: DatabaseKind
  ) async throws {
    let database = await TestDatabase(kind)
    let environment = try environment(database)
    let (service, address, _) = try await serve(environment)
    let running = try await check(environment + ["LISTEN=\(address)"])
    #expect(running.status == 0, "\(running.output)\(running.errors)")
    #expect(running.output.contains(kind == .sqlite ? "SQLite 3." : "PostgreSQL 1"))
    #expect(running.output.contains("serves it: only after that has stopped"))
    #expect(running.output.contains("the sealing key is that of its secrets"))
    #expect(running.output.contains(/warning +listen +cannot listen on .*already in use/))
    service.send(SIGTERM)
    await service.expectEnd()

    let stopped = try await check(environment)
    #expect(stopped.status == 0 && !stopped.output.contains("serves it"), "\(stopped.output)")
    let last = "(SELECT max(number) FROM schema_migrations)"
    _ = try await database.first("DELETE FROM schema_migrations WHERE number = \(last) RETURNING name")
    let behind = try await check(environment)
    #expect(behind.status == 0)
    #expect(behind.output.contains("serve applies 1 migrations when it starts"), "\(behind.output)")
    let status = try await Program.run(["status", "--output", "json"], environment)
    #expect(status.status == 0 && status.output.contains(#""migrations_pending": ["00"#), "\(status.output)")
  }

  @Test
  func `A check names each setting that is wrong, with the exit status that serve would have`() async throws {
    let database = await TestDatabase(.sqlite)
    let wrong = try await check(
      try environment(database) + ["LOG_LEVEL=loud", "EVENT_LOOPS=0", "RATE_LIMIT_CLIENT=x"])
    #expect(wrong.status == 2)
    for setting in ["LOG_LEVEL", "EVENT_LOOPS", "RATE_LIMIT_CLIENT"] {
      #expect(wrong.output.contains("problem  settings      \(setting) ("), "\(wrong.output)")
    }
    #expect(wrong.errors.contains("3 problems were found, and nothing else was tested"))
    // A setting on which others depend: they are tested once it is right.
    let missing = try await check(
      ["DATABASE_URL=\(database.url)", "JWT_SECRET_FILE=/none", "JWT_PREVIOUS_SECRET_FILE=/none"])
    #expect(missing.status == 2 && missing.errors.contains("1 problem was found"), "\(missing.output)")
    let unknown = try await Program.run(["serve", "--check", "--colour", "red"], [secret])
    #expect(unknown.status == 2 && unknown.errors.contains("Unknown option --colour"))
  }

  @Test
  func `A check asks Telegram for the bot's name, and tells when it knows no bot with the token`() async throws
  {
    let environment = try environment(await TestDatabase(.sqlite))
    let file = "\(directory.path)/bot-token"
    try await TelegramServer.with { telegram in
      let settings = environment + ["TELEGRAM_BOT_TOKEN_FILE=\(file)", "TELEGRAM_API_URL=\(telegram.url)"]
      try Data(TelegramServer.token.utf8).write(to: URL(filePath: file))
      let right = try await check(settings)
      #expect(right.status == 0)
      #expect(right.output.contains("ok       Telegram      @\(TelegramServer.name) at \(telegram.url)"))
      try Data("1:AAwrong-secret-of-the-tests_0123456789".utf8).write(to: URL(filePath: file))
      let wrong = try await check(settings)
      #expect(wrong.status == 0)
      #expect(wrong.output.contains("warning  Telegram"), "\(wrong.output)")
      #expect(wrong.output.contains("Telegram knows no bot with this token"), "\(wrong.output)")
      #expect(!wrong.output.contains("AAwrong") && !wrong.errors.contains("AAwrong"))
    }
  }

  @Test
  func `A check finds what the settings name and the service cannot use`() async throws {
    let database = await TestDatabase(.sqlite)
    let environment = try environment(database)
    let missing = try await check(
      environment + [
        "DATABASE_URL=postgresql://registry:hunter2@127.0.0.1:1/none",
        "REPLAY_STORE=redis://:hunter2@127.0.0.1:1/0", "LISTEN=192.0.2.1:8000", "PUBLIC_URL=https://a",
      ])
    #expect(missing.status == 1)
    #expect(missing.output.contains(/problem +database +the database could not be reached/))
    #expect(missing.output.contains(/problem +replay store +\S+/))
    #expect(missing.output.contains(/problem +listen +cannot listen on 192\.0\.2\.1:8000/))
    #expect(missing.errors.contains("3 problems were found"), "\(missing.output)")
    #expect(!missing.output.contains("hunter2") && !missing.errors.contains("hunter2"))
    let folder = try await check(environment + ["DATABASE_URL=sqlite:/dev/null/new/registry.db"])
    #expect(folder.status == 1)
    #expect(folder.output.contains(/problem +database +cannot create \/dev\/null/), "\(folder.output)")
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A check finds a sealing key that is not that of the database`(kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let environment = try environment(database)
    let (service, address, _) = try await serve(environment)
    try await addDevice(environment, at: address)
    service.send(SIGTERM)
    await service.expectEnd()
    let other = try await check(environment.filter { !$0.hasPrefix("SEALING") } + [try sealingKey("02")])
    #expect(other.status == 1)
    #expect(
      other.output.contains(/problem +database +SEALING_KEY_FILE .* does not have the key/), "\(other.output)")
  }

  @Test
  func `A check asks Redis what it is, and whether it may forget nonces`() async throws {
    let environment = try environment(await TestDatabase(.sqlite))
    try await RedisServer.with { redis in
      let setting = "REPLAY_STORE=redis://127.0.0.1:\(redis.port)/3"
      let good = try await check(environment + [setting])
      #expect(good.status == 0)
      #expect(good.output.contains(/ok +replay store +Redis \d+\.\d+/), "\(good.output)")
      #expect(await redis.run("-n 3 DBSIZE") == "0")
      await redis.run("CONFIG SET maxmemory 100mb")
      await redis.run("CONFIG SET maxmemory-policy allkeys-lru")
      let forgetful = try await check(environment + [setting])
      #expect(forgetful.status == 1)
      #expect(forgetful.output.contains(/problem +replay store .*noeviction/), "\(forgetful.output)")
      let status = try await Program.run(["migrate"], environment)
      #expect(status.status == 0)
      let report = try await report(environment + [setting])
      #expect(report["replay_store_usable"] as? Bool == false)
    }
  }

  @Test(arguments: PgBouncer.Mode.allCases)
  func `A check accepts a pooler in session mode, and no other`(mode: PgBouncer.Mode) async throws {
    let direct = await TestDatabase(.postgres)
    let name = try #require(try await direct.first("SELECT current_database()"))
    var environment = try environment(direct)
    #expect(try await Program.run(["migrate"], environment).status == 0)
    try await PgBouncer.with(mode, for: await PostgresCluster.quiet) { pooler in
      environment.append("DATABASE_URL=\(pooler.url(of: name))")
      let result = try await check(environment)
      #expect(result.status == (mode == .session ? 0 : 1), "\(result.output)")
      #expect(result.output.contains("use session mode or connect directly") == (mode != .session))
    }
  }

  // MARK: status

  /// A client, and a device of it.
  private func addDevice(_ environment: [String], at address: String) async throws {
    #expect(try await Program.run(["client", "add", "--id", "alice"], environment).status == 0)
    let token = try await Program.run(["token", "--sub", "alice"], environment).output.dropLast()
    let client = HTTPClient(port: try port(of: address))
    let fields = [("Authorization", "Bearer \(token)"), ("Content-Type", "application/json")]
    let device = try await client.send(
      "POST", "/api/v1/devices", fields: fields, body: Array(#"{"device_name": "EA"}"#.utf8))
    #expect(device.status == 201)
    let signal = try await client.send(
      "POST", "/api/v1/signals", fields: fields, body: Array(#"{"payload": {"side": "buy"}, "all": true}"#.utf8)
    )
    #expect(signal.status == 201)
  }

  private func report(_ environment: [String]) async throws -> [String: Any] {
    let result = try await Program.run(["status", "--output", "json"], environment)
    #expect(result.status == 0, "\(result.errors)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The status has the database, its numbers, who serves it, and the running process`(kind: DatabaseKind)
    async throws
  {
    let database = await TestDatabase(kind)
    let environment = try environment(database)
    let (service, address, admin) = try await serve(environment)
    try await addDevice(environment, at: address)
    let running = try await report(environment + ["ADMIN_LISTEN=\(admin)"])
    #expect((running["database"] as? String)?.hasPrefix(kind == .sqlite ? "SQLite" : "PostgreSQL") == true)
    for (name, number) in ["clients": 1, "devices": 1, "signals_live": 1, "signals_kept": 1, "webhooks": 0] {
      #expect(running[name] as? Int == number, "\(name)")
    }
    #expect((running["database_bytes"] as? Int ?? 0) > 100_000)
    #expect((running["migrations_pending"] as? [String])?.isEmpty == true)
    let serving = try #require(running["serving"] as? [String])
    #expect(serving.count == 1)
    #expect(
      serving[0].hasPrefix(kind == .sqlite ? "process " : "device-registry at the database's machine since"))
    #expect(!serving[0].contains("shared"))
    #expect(running["replay_store"] as? String == "memory")
    #expect(running["process_version"] as? String == running["version"] as? String)
    #expect(running["parked_polls"] as? Int == 0 && running["event_loop_silence_seconds"] is NSNumber)

    let table = try await Program.run(["status"], environment + ["ADMIN_LISTEN=\(admin)"])
    #expect(
      table.output.contains(/\ndevices +1\n/) && table.output.contains(/\ndatabase bytes +[\d.]+ [KM]iB\n/))
    service.send(SIGTERM)
    await service.expectEnd()
    let stopped = try await report(environment + ["ADMIN_LISTEN=\(admin)"])
    #expect((stopped["serving"] as? [String])?.isEmpty == true)
    #expect((stopped["process"] as? String)?.hasPrefix("not read: http://127.0.0.1:") == true)
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The status of a database without a registry is an error`(kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let result = try await Program.run(["status"], ["DATABASE_URL=\(database.url)"])
    #expect(result.status == 1 && result.output.isEmpty)
    #expect(result.errors.contains("set DATABASE_URL"), "\(result.errors)")
    let wrong = try await Program.run(["status", "--output", "csv"], ["DATABASE_URL=\(database.url)"])
    #expect(wrong.status == 2 && wrong.errors.contains("--output must be table or json"))
  }

  @Test
  func `The status lists each process that shares the database`() async throws {
    try await RedisServer.with { redis in
      for kind in DatabaseKind.allCases {
        let setting = "REPLAY_STORE=redis://127.0.0.1:\(redis.port)/0"
        let environment = try environment(await TestDatabase(kind)) + [setting]
        let (first, _, _) = try await serve(environment)
        let (second, _, _) = try await serve(environment)
        let report = try await report(environment)
        let serving = try #require(report["serving"] as? [String])
        #expect(serving.count == 2 && serving.allSatisfy { $0.hasSuffix(" (shared)") }, "\(serving)")
        #expect(report["replay_store_usable"] as? Bool == true)
        for service in [first, second] {
          service.send(SIGTERM)
          await service.expectEnd()
        }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The metrics have the size of the database and what it has`(kind: DatabaseKind) async throws {
    let environment = try environment(await TestDatabase(kind))
    let (first, address, _) = try await serve(environment)
    try await addDevice(environment, at: address)
    first.send(SIGTERM)
    await first.expectEnd()
    let (second, _, admin) = try await serve(environment)
    let metrics = HTTPClient(port: try port(of: admin))
    var text = ""
    try await wait(until: {
      text = try await metrics.send("GET", "/metrics").text
      return text.contains("\ndatabase_rows{table=\"devices\"} 1\n")
    })
    #expect(text.contains(/\ndatabase_size_bytes [1-9]\d{5,}/))
    #expect(text.contains("\ndatabase_rows{table=\"clients\"} 1\n"))
    #expect(text.contains(/\ndatabase_disk_free_bytes [1-9]\d+/) == (kind == .sqlite))
    second.send(SIGTERM)
    await second.expectEnd()
  }
}
