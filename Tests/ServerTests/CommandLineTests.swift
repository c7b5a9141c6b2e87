import CSQLite
import Foundation
import TestSupport
import Testing

/// The program itself, started as a user starts it.
@Suite("The command line")
struct CommandLineTests {
  private let directory = TemporaryDirectory()
  private let secret = "JWT_SECRET=0123456789abcdef0123456789abcdef"

  @Test(arguments: ["serve", "migrate", "client", "token", "seal"])
  func `helps`(command: String) async throws {
    let help = try await Program.run([command, "--help"])
    #expect(help.status == 0)
    #expect(help.output.contains("device-registry \(command)"))
    #expect(try await Program.run(["--help"]).output.contains(command))
  }

  @Test
  func `tells its version`() async throws {
    #expect(try await Program.run(["--version"]).output.hasPrefix("device-registry "))
  }

  @Test(arguments: [
    ([], [], "usage"), (["fly"], [], "fly"), (["serve"], [], "JWT_SECRET"),
    (["serve", "--listen", "nowhere"], ["s"], "LISTEN"), (["serve", "--listen", "0.0.0.0:0"], ["s"], "TLS"),
    (["serve", "--listen", "[::]:0", "--public-url", "http://a"], ["s"], "TLS"),
    (["serve", "--admin-listen", "nowhere"], ["s"], "ADMIN_LISTEN"),
    (
      ["serve", "--admin-listen", "0.0.0.0:0"], ["s"],
      "ADMIN_LISTEN (--admin-listen): 0.0.0.0:0 can be reached"
    ),
    (["serve", "--database-url", "mysql://a"], ["s"], "DATABASE_URL"),
    (["serve"], ["s", "LOG_LEVEL=loud"], "LOG_LEVEL"),
    (["serve"], ["s", "EVENT_LOOPS=0"], "EVENT_LOOPS"), (["serve"], ["s", "ARGON2_TIME=x"], "ARGON2_TIME"),
    (["serve"], ["s", "PUBLIC_URL=https://a/b"], "PUBLIC_URL"),
    (["serve"], ["s", "PUBLIC_URL=https://a\n"], "PUBLIC_URL"),
    (["serve"], ["s", "PUBLIC_URL=https://a:https"], "PUBLIC_URL"),
    (["serve"], ["s", "LISTEN=127.0.0.1:+80"], "LISTEN"),
    (["serve"], ["s", "LISTEN=127.0.0.1\n:80"], "LISTEN"),
    (["serve"], ["s", "TRUSTED_PROXIES=10.0.0.0/8,proxy"], "TRUSTED_PROXIES (--trusted-proxies): \"proxy\""),
    (["serve"], ["s", "RATE_LIMIT_CLIENT=10"], "RATE_LIMIT_CLIENT"),
    (["serve"], ["s", "RATE_LIMIT_DEVICE=0/60"], "RATE_LIMIT_DEVICE"),
    (["serve"], ["s", "RATE_LIMIT_ADDRESS=10/+1"], "REQUESTS/SECONDS"),
    (["serve"], ["s", "RATE_LIMIT_ADDRESS=10/86401"], "86400"),
    (["serve"], ["JWT_SECRET=short"], "JWT_SECRET"),
    (["serve"], ["s", "JWT_SECRET_FILE=/none"], "JWT_SECRET"),
    (["serve"], ["JWT_SECRET_FILE=/none"], "cannot read the file /none: No such file or directory"),
    (["serve"], ["JWT_SECRET_FILE=/tmp"], "cannot read the file /tmp: Is a directory"),
    (
      ["serve"], ["s", "SEALING_KEY_FILE=/none"],
      "SEALING_KEY_FILE (--sealing-key-file): cannot read the file /none"
    ),
    (["serve"], ["s", "JWT_MAX_LIFETIME_DAYS=0"], "JWT_MAX_LIFETIME_DAYS"),
    (["serve"], ["s", "JWKS_MAX_AGE_HOURS=0"], "JWKS_MAX_AGE_HOURS"),
    (["token", "--sub", "a", "--ttl", "86401"], ["s", "JWT_MAX_LIFETIME_DAYS=1"], "--ttl"),
    (["client", "add", "--id", ".."], [], "client id"),
    (["serve"], ["JWT_JWKS_URL=http://a"], "https"),
    (["serve"], ["JWT_JWKS_FILE=/dev/null"], "JWT_JWKS_FILE"),
    (["serve"], ["s", "TLS_CERT_FILE=/dev/null"], "TLS_KEY_FILE"),
    (["serve", "--colour", "red"], ["s"], "Unknown option --colour; see --help"),
    (["serve", "--port=8010"], ["s"], "Unknown option --port; see --help"),
    (["serve", "-p", "8010"], ["s"], "Unknown option -p; see --help"),
    (["client", "remove"], [], "missing argument ID; usage: "),
    (["client", "list", "hunter2"], [], "argument too many; usage: "),
    (["client", "delete", "a"], [], "must be add, list, set, suspend, resume or remove"),
    (["serve", "--listen"], ["s"], "--listen"),
    (["serve", "--listen", "a:1", "--listen=b:1"], ["s"], "twice"),
    (["serve", "now"], ["s"], "usage"), (["token"], ["s"], "--sub"),
    (["token", "--sub", "a b"], ["s"], "--sub"),
    (["token", "--sub", "a", "--ttl", "0"], ["s"], "--ttl"),
    (["token", "--sub", "a"], [], "JWT_SECRET_FILE"),
    (["client"], [], "usage"), (["client", "add", "--id", "a b"], [], "client id"),
    (["client", "add", "--email", "a"], [], "--email"),
    (["client", "add", "--telegram-id", "x"], [], "--telegram-id"),
    (["client", "add", "--max-devices", "-1"], [], "--max-devices"),
    (["client", "set", "a"], [], "set needs --email"), (["client", "set", "a", "--email", "b"], [], "--email"),
    (["client", "suspend"], [], "missing argument ID"),
    (["migrate", "x"], [], "usage"), (["--jwt-secret=hunter2", "serve"], [], "command comes first"),
    (["serve", "--listen", "127.example.com:0"], ["s"], "TLS"),
    (["serve", "--database-url", "sqlite::memory:"], ["s"], "DATABASE_URL"),
  ])
  func `names what is wrong, and exits with 2`(arguments: [String], environment: [String], what: String)
    async throws
  {
    let result = try await Program.run(arguments, environment.map { $0 == "s" ? secret : $0 })
    #expect(result.status == 2)
    #expect(result.errors.contains(what), "\(result.errors)")
    #expect(!result.errors.contains("hunter2"))
  }

  @Test(arguments: [("\u{FEFF}", "", "byte order mark"), (" ", "", "white space"), ("", " \n", "white space")])
  func `warns of a secret with a byte order mark or white space around it`(
    start: String, end: String, warning: String
  ) async throws {
    let file = "\(directory.path)/\(UUID().uuidString)"
    let text = start + "0123456789abcdef0123456789abcdef" + end
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    let made = try await Program.run([
      "token", "--sub", "a", "--scope", "registry:admin", "--jwt-secret-file", file,
    ])
    #expect(made.status == 0)
    #expect(made.errors.contains("warning: \(file) ") && made.errors.contains(warning))
    let serving = try Program(
      ["serve"],
      [
        "JWT_SECRET_FILE=\(file)", "DATABASE_URL=sqlite:\(file).db", "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=",
      ])
    #expect(try await serving.errorLine(containing: "jwt secret file").contains(warning))
    serving.send(SIGTERM)
    await serving.expectEnd()
  }

  @Test(.enabled(if: getuid() == 0, "only root can become another user"))
  func `names the owner of a file that it may not read`() async throws {
    let file = "\(directory.path)/secret"
    try Data("0123456789abcdef0123456789abcdef".utf8).write(to: URL(fileURLWithPath: file))
    #expect(chmod(file, 0o600) == 0 && chmod(directory.path, 0o755) == 0)
    let result = try await Program.run(
      ["--reuid=nobody", "--clear-groups", Program.built, "serve", "--jwt-secret-file", file],
      executable: "/usr/bin/setpriv")
    #expect(result.status == 2)
    #expect(result.errors.contains("\(file) belongs to root with mode 600, and this process runs as nobody"))
  }

  @Test(arguments: DatabaseKind.allCases)
  func `adds, lists and removes clients, and brings the database up to date`(kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let url = ["DATABASE_URL=\(database.url)"]
    #expect(try await Program.run(["migrate"], url).output.contains("0001"))
    #expect(try await Program.run(["migrate"], url).output == "the database is up to date\n")

    let add = ["client", "add", "--id", "alice", "--email", "alice@example.com", "--telegram-id", "42"]
    #expect(try await Program.run(add, url).output == "alice\n")
    let again = try await Program.run(add, url)
    #expect(again.status == 1)
    #expect(again.errors.contains("Another client has this id"))
    #expect(try await Program.run(add + ["--if-absent"], url).status == 0)
    #expect(try await Program.run(["client", "add"], url).output.count == 37)
    let list = try await Program.run(["client", "list"], url).output.split(separator: "\n")
    #expect(list.count == 2)
    #expect(list[0].hasPrefix("alice\talice@example.com\t42\t20") && list[0].hasSuffix("\tactive\t0\t-"))
    let set = ["client", "set", "alice", "--max-devices", "3", "--telegram-id", ""]
    let changed = try await Program.run(set, url).output
    #expect(changed.hasPrefix("alice\talice@example.com\t-\t20") && changed.hasSuffix("\tactive\t0\t3\n"))
    let suspend = ["client", "suspend", "alice", "--reason", "unpaid"]
    for _ in 0..<2 { #expect(try await Program.run(suspend, url).output.contains("\tsuspended\t")) }
    #expect(try await Program.run(["client", "resume", "alice"], url).output.contains("\tactive\t"))
    #expect(try await Program.run(["client", "suspend", "bob"], url).status == 1)

    try await Program(["client", "remove", "alice"], url).expectEnd()
    let missing = try await Program.run(["client", "remove", "alice"], url)
    #expect(missing.status == 1)
    #expect(missing.errors.contains("No client has this id"))
  }

  private static let onARegistry = [
    ["client", "list"], ["client", "add", "--id", "alice"], ["client", "remove", "alice"], ["seal"],
  ]

  @Test(arguments: onARegistry)
  func `creates no registry where DATABASE_URL is mistyped`(arguments: [String]) async throws {
    let key = "\(directory.path)/sealing-key"
    try Data((String(repeating: "01", count: 32) + "\n").utf8).write(to: URL(fileURLWithPath: key))
    let path = "\(directory.path)/none/registry.db"
    let missing = try await Program.run(arguments, ["DATABASE_URL=sqlite:\(path)", "SEALING_KEY_FILE=\(key)"])
    #expect(missing.status == 1)
    #expect(
      missing.errors.contains("there is no database \(path); set DATABASE_URL, or create"), "\(missing.errors)")
    #expect(missing.errors.contains("device-registry migrate"))
    #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/none"))

    for kind in DatabaseKind.allCases {
      let other = await TestDatabase(kind)
      if kind == .sqlite { try other.makeTableOfAnotherProgram() }
      let result = try await Program.run(
        arguments, ["DATABASE_URL=\(other.url)", "SEALING_KEY_FILE=\(key)"])
      #expect(result.status == 1 && result.errors.contains("registry; set DATABASE_URL"), "\(result.errors)")
      let tables = kind == .sqlite ? "sqlite_schema" : "pg_tables WHERE schemaname = 'public'"
      #expect(try await other.first("SELECT count(*) FROM \(tables)") == (kind == .sqlite ? "1" : "0"))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `creates a registry for its first client if that is asked for`(kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let environment = ["DATABASE_URL=\(database.url)"]
    let add = ["client", "add", "--create", "--if-absent", "--id", "alice"]
    for _ in 0..<2 { #expect(try await Program.run(add, environment).output == "alice\n") }
    #expect(try await Program.run(["client", "list"], environment).output.hasPrefix("alice\t"))
  }

  @Test
  func `does not wait long for the lock of another process, and names the file`() async throws {
    let path = "\(directory.path)/registry.db"
    let url = ["DATABASE_URL=sqlite:\(path)"]
    _ = try await Program.run(["client", "add", "--create", "--id", "alice"], url)
    var other: OpaquePointer?
    defer { sqlite3_close(other) }
    #expect(sqlite3_open(path, &other) == SQLITE_OK)
    #expect(sqlite3_exec(other, "BEGIN IMMEDIATE", nil, nil, nil) == SQLITE_OK)
    #expect(try await Program.run(["client", "list"], url).output.hasPrefix("alice\t"))
    #expect(try await Program.run(["migrate"], url).status == 0)
    let add = try await Program.run(["client", "add", "--id", "bob"], url)
    #expect(add.status == 1 && add.errors.contains("another process holds a lock on \(path)"), "\(add.errors)")
  }

  @Test
  func `notices while it serves that the database's file was removed`() async throws {
    let path = "\(directory.path)/registry.db"
    let program = try Program(
      ["serve"], [secret, "DATABASE_URL=sqlite:\(path)", "LISTEN=127.0.0.1:0", "ADMIN_LISTEN="])
    let line = try await program.errorLine(containing: #""event":"listening""#)
    let address = try #require(line.firstMatch(of: /"address":"127.0.0.1:(\d+)"/))
    let client = HTTPClient(port: try #require(UInt16(address.1)))
    #expect(try await client.send("GET", "/readyz").status == 200)
    try FileManager.default.removeItem(atPath: path)
    let error = try await program.errorLine(containing: "database file removed or replaced")
    #expect(error.contains(#""level":"error""#) && error.contains(path))
    #expect(try await client.send("GET", "/readyz").status == 503)
    program.send(SIGTERM)
    await program.expectEnd()
  }

  @Test(.enabled(if: getuid() == 0, "only root can become another user"))
  func `names the owner of a database that it may not open`() async throws {
    let path = "\(directory.path)/registry.db"
    _ = try await Program.run(["migrate"], ["DATABASE_URL=sqlite:\(path)"])
    #expect(chmod(directory.path, 0o755) == 0)
    let result = try await Program.run(
      ["--reuid=nobody", "--clear-groups", Program.built, "client", "list"], ["DATABASE_URL=sqlite:\(path)"],
      executable: "/usr/bin/setpriv")
    #expect(result.status == 1)
    #expect(
      result.errors.contains(
        "cannot open \(path): \(path) belongs to root with mode 600, and this process runs as nobody"),
      "\(result.errors)")
  }

  @Test(arguments: DatabaseKind.allCases)
  func `warns of a token of a client that the database does not have`(kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let environment = [secret, "DATABASE_URL=\(database.url)"]
    _ = try await Program.run(["client", "add", "--create", "--id", "alice"], environment)
    let known = try await Program.run(["token", "--sub", "alice"], environment)
    #expect(known.status == 0 && known.errors.isEmpty, "\(known.errors)")
    let typo = try await Program.run(["token", "--sub", "alcie"], environment)
    #expect(typo.status == 0 && typo.output.hasPrefix("ey"))
    #expect(typo.errors.contains("warning: the database has no client alcie"), "\(typo.errors)")
    let administrator = ["token", "--sub", "operator", "--scope", "registry:admin"]
    #expect(try await Program.run(administrator, environment).errors.isEmpty)
  }

  @Test
  func `makes a token where no database can be looked into, and does not create one`() async throws {
    let path = "\(directory.path)/none/registry.db"
    for url in ["sqlite:\(path)", "postgresql://127.0.0.1:1/none"] {
      let result = try await Program.run(["token", "--sub", "alice"], [secret, "DATABASE_URL=\(url)"])
      #expect(result.status == 0 && result.output.hasPrefix("ey") && result.errors.isEmpty, "\(result.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func `serves until SIGTERM, with a token that it made`(signal: Int32) async throws {
    let file = "\(directory.path)/secret"
    try Data("0123456789abcdef0123456789abcdef\n".utf8).write(to: URL(fileURLWithPath: file))
    let environment = [
      "JWT_SECRET_FILE=\(file)", "DATABASE_URL=sqlite:\(directory.path)/new/registry.db", "LISTEN=127.0.0.1:0",
      "ADMIN_LISTEN=127.0.0.1:0",
    ]
    _ = try await Program.run(["client", "add", "--create", "--id", "alice"], environment)
    let token = try await Program.run(["token", "--sub", "alice"], environment).output.dropLast()
    let program = try Program(["serve"], environment)
    let line = try await program.errorLine(containing: #""event":"listening""#)
    let address = try #require(line.firstMatch(of: /"address":"127.0.0.1:(\d+)"/))
    let client = HTTPClient(port: try #require(UInt16(address.1)))
    #expect(try await client.send("GET", "/readyz").status == 200)
    let devices = try await client.send(
      "GET", "/api/v1/devices", fields: [("Authorization", "Bearer \(token)")])
    #expect(devices.text == "[]")
    let adminAddress = try #require(line.firstMatch(of: /"admin_address":"127.0.0.1:(\d+)"/))
    let metrics = try await HTTPClient(port: try #require(UInt16(adminAddress.1))).send("GET", "/metrics")
    // Also where the process refuses debuggers, and so much of /proc.
    #expect(metrics.text.contains(/\nprocess_resident_memory_bytes [1-9]\d{6,}\n/))
    #expect(metrics.text.contains(/\nbuild_info\{version="\d+\.\d+\.\d+"\} 1\n/))
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory.path)/new/registry.db")
    #expect(attributes[.posixPermissions] as? Int == 0o600)

    program.send(signal)
    await program.expectEnd()
  }

  @Test(
    .enabled("the system lets this user replace /etc/hosts for one process") {
      let probe = try? await Program.run(["--mount", "/bin/true"], executable: "/usr/bin/unshare")
      return probe?.status == 0
    })
  func `listens at all addresses of a name, and logs each`() async throws {
    let hosts = "\(directory.path)/hosts"
    try Data("127.0.0.1 localhost\n127.0.0.7 localhost\n".utf8).write(to: URL(fileURLWithPath: hosts))
    let program = try Program(
      ["--mount", "/bin/sh", "-c", "mount --bind $0 /etc/hosts && exec $1 serve", hosts, Program.built],
      [
        secret, "DATABASE_URL=sqlite:\(directory.path)/registry.db", "LISTEN=localhost:0",
        "ADMIN_LISTEN=localhost:0", "PATH=/usr/bin:/bin",
      ], executable: "/usr/bin/unshare")
    for target in ["address": "/readyz", "admin_address": "/metrics"] {
      for host in ["127.0.0.1", "127.0.0.7"] {
        let line = try await program.errorLine(containing: "\"\(target.key)\":\"\(host):")
        #expect(line.contains(#""event":"listening""#))
        let pattern = try Regex("\"\(target.key)\":\"\(host):(\\d+)\"", as: (Substring, Substring).self)
        let port = try #require(line.firstMatch(of: pattern).flatMap { UInt16($0.1) })
        #expect(try await HTTPClient(host: host, port: port).send("GET", target.value).status == 200)
      }
    }
    program.send(SIGTERM)
    await program.expectEnd()
  }

  @Test
  func `says when the port is taken or the database is out of reach, and exits with 1`() async throws {
    let file = "DATABASE_URL=sqlite:\(directory.path)/registry.db"
    let first = try Program(["serve"], [secret, file, "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=127.0.0.1:0"])
    let line = try await first.errorLine(containing: #""event":"listening""#)
    let address = try #require(line.firstMatch(of: /"address":"(127.0.0.1:\d+)"/)).1
    let second = try await Program.run(["serve"], [secret, file, "LISTEN=\(address)"])
    #expect(second.status == 1)
    #expect(second.errors.contains("set LISTEN"))
    // The database is not touched before that.
    let untouched = "\(directory.path)/untouched.db"
    _ = try await Program.run(["serve"], [secret, "DATABASE_URL=sqlite:\(untouched)", "LISTEN=\(address)"])
    #expect(!FileManager.default.fileExists(atPath: untouched))
    let adminAddress = try #require(line.firstMatch(of: /"admin_address":"(127.0.0.1:\d+)"/)).1
    let third = try await Program.run(
      ["serve"], [secret, file, "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=\(adminAddress)"])
    #expect(third.status == 1)
    #expect(third.errors.contains("\(adminAddress)") && third.errors.contains("set ADMIN_LISTEN"))
    first.send(SIGTERM)
    await first.expectEnd()

    let url = "DATABASE_URL=postgresql://user:hunter2@127.0.0.1:1/none"
    let unreachable = try await Program.run(["serve"], [secret, url, "LISTEN=127.0.0.1:0", "ADMIN_LISTEN="])
    #expect(unreachable.status == 1)
    #expect(unreachable.errors.contains("127.0.0.1"))
    #expect(!unreachable.errors.contains("hunter2"))
  }
}
