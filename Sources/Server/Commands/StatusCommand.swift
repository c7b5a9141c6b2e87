internal import Commands
internal import Encoding
internal import EventLoop
internal import HTTPClient
internal import Migrations
internal import RedisReplayStore
internal import Registry

enum StatusCommand {
  static let usage =
    "device-registry status [\(output) \(Format.allCases.map(\.rawValue).joined(separator: " | "))]"

  static let help = """
    Prints the state of the registry: its database and migrations, the processes that serve it, how much it has, Redis and, if
    its metrics can be read, the running process. Changes nothing, and does not apply migrations. Exits with 1 if the
    database has no registry or cannot be read.

    usage: \(usage)

    \(CommandLineInterface.columns([(output, "table: a line for each value; json: one object (default: table)")]))
    \(CommandLineInterface.columns(of: settings))
    """

  private enum Format: String, CaseIterable { case table, json }

  private static let output = "--output"
  private static let settings: [Setting] = [.databaseURL, .replayStore, .adminListen]

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    let arguments = try Arguments(
      arguments, flags: [output] + settings.map(\.flag), environment: environment)
    try arguments.expectWords(usage: usage)
    guard let format = Format(rawValue: arguments.value(of: output) ?? Format.table.rawValue) else {
      throw UsageError("\(output) must be table or json")
    }
    let url = try Configuration.database(arguments)
    guard let replayStore = arguments.value(of: .replayStore).flatMap(ReplayStoreSetting.init) else {
      throw UsageError(.replayStore, "must be memory or redis://[USER:PASSWORD@]HOST[:PORT][/DB]")
    }
    let now = SystemClock().now()
    var report = StatusReport()
    report.add("version", .text(CommandLineInterface.version))
    try report.add(database: url, at: now)
    let loop = try EventLoop(name: "status")
    defer { loop.stop() }
    switch replayStore {
    case .memory: report.add("replay_store", .text("memory"))
    case .redis(let url):
      let redis = await loop.run { await Self.redis(RedisURL(url)!, on: loop) }
      report.add("replay_store", .text(redis.text))
      report.add("replay_store_usable", .flag(redis.isUsable))
    }
    await report.add(processAt: arguments.value(of: .adminListen) ?? "", on: loop)
    print(format == .json ? report.json : report.table(at: now))
  }

  private static func redis(_ url: RedisURL, on loop: EventLoop) async -> (text: String, isUsable: Bool) {
    do throws(RedisUnusable) {
      let redis = try await RedisInspection.read(url, on: loop)
      let name = "Redis \(redis.version ?? "of an unknown version")"
      return redis.objection.map { ("\(name): \($0)", false) } ?? (name, true)
    } catch {
      return ("Redis: \(error)", false)
    }
  }
}

/// What `status` prints: names and values, in order.
private struct StatusReport {
  enum Value {
    case text(String?)
    case number(Double?)
    case bytes(Int64)
    case flag(Bool)
    case time(Timestamp?)
    case words([String])
  }

  private var rows: [(name: String, value: Value)] = []

  mutating func add(_ name: String, _ value: Value) { rows.append((name, value)) }

  mutating func add(_ name: String, _ number: Int) { add(name, .number(Double(number))) }

  // MARK: Database

  /// Throws an error if the database has no registry or cannot be read.
  mutating func add(database url: DatabaseURL, at now: Timestamp) throws {
    guard let schema = try Database.schema(of: url) else { throw RegistryMissing(url) }
    add("database", .text(schema.product))
    add("database_url", .text(url.description))
    add("migration", .text(schema.applied.last))
    add("migrations_applied", schema.applied.count)
    add("migrations_pending", .words(schema.pending))
    // Its tables are not those that this version knows.
    guard schema.pending.isEmpty else { return }
    let figures = try Database.figures(of: url, at: now)
    add("database_bytes", .bytes(figures.bytes))
    if let free = figures.freeBytes { add("disk_free_bytes", .bytes(free)) }
    add("serving", .words(figures.serving?.map(\.description) ?? ["unknown"]))
    add("delivering_to_webhooks", .text(figures.delivering?.description))
    add("clients", figures.clients)
    add("devices", figures.devices)
    add("signals_live", figures.liveSignals)
    add("signals_kept", figures.keptSignals)
    add("events_kept_estimate", figures.keptEvents)
    add("webhooks", figures.webhooks)
    add("webhooks_failing", figures.failingWebhooks)
    add("webhooks_failing_since", .time(figures.failingSince))
    add("webhooks_disabled_for_failures", figures.disabledWebhooks)
  }

  // MARK: The running process

  /// How the values of a metric's labels become one.
  private enum Sum { case total, greatest }

  private static let metrics: KeyValuePairs<String, Sum> = [
    "http_connections_open": .total, "parked_polls": .total, "parked_readers": .total,
    "argon2id_queue_length": .total, "sqlite_writer_queue_length": .total, "postgres_waiting_requests": .total,
    "redis_waiting_requests": .total, "log_queue_bytes": .total, "presence_lag_seconds": .total,
    "event_feed_lag_seconds": .total, "event_loop_silence_seconds": .greatest,
  ]

  /// - Parameter address: `ADMIN_LISTEN`.
  mutating func add(processAt address: String, on loop: EventLoop) async {
    guard !address.isEmpty else {
      return add("process", .text("not read: \(Setting.adminListen.rawValue) is empty"))
    }
    guard let listen = ListenAddress(address) else {
      return add("process", .text("not read: \(Setting.adminListen.rawValue) is not ADDRESS:PORT"))
    }
    let url = "http://\(listen.forConnecting)/metrics"
    do {
      let text = try await loop.run { try await Self.fetch(url, on: loop) }
      let samples = Self.samples(in: text)
      add("process", .text(url))
      add("process_version", .text(samples.first { $0.name == "build_info" }?.firstLabel))
      add(
        "process_started_at",
        .time(
          samples.first { $0.name == "process_start_time_seconds" }
            .map { Timestamp(millisecondsSince1970: Int64($0.value * 1000)) }))
      for (name, sum) in Self.metrics {
        let values = samples.filter { $0.name == name }.map(\.value)
        guard let greatest = values.max() else { continue }
        add(name, .number(sum == .total ? values.reduce(0, +) : greatest))
      }
    } catch {
      add("process", .text("not read: \(url): \(error)"))
    }
  }

  private static func fetch(_ url: String, on loop: EventLoop) async throws -> String {
    let client = try WebClient(on: loop)
    var request = WebClient.Request(url: url)
    request.allowsPlainHTTP = true
    do {
      let answer = try await client.fetch(request)
      await client.close()
      return String(decoding: answer.body, as: UTF8.self)
    } catch {
      await client.close()
      throw error
    }
  }

  private struct Sample {
    let name: Substring
    let firstLabel: String?
    let value: Double
  }

  /// Reads Prometheus' text format: `name{label="value"} number`.
  private static func samples(in text: String) -> [Sample] {
    text.split(separator: "\n").compactMap { line in
      guard !line.hasPrefix("#"), let space = line.lastIndex(of: " "),
        let value = Double(line[line.index(after: space)...])
      else { return nil }
      let quoted = line.split(separator: "\"", maxSplits: 2, omittingEmptySubsequences: false)
      return Sample(
        name: line.prefix { $0 != "{" && $0 != " " }, firstLabel: quoted.count == 3 ? String(quoted[1]) : nil,
        value: value)
    }
  }

  // MARK: Printing

  /// One line for each value.
  func table(at now: Timestamp) -> String {
    let titles = rows.map { $0.name.replacing("_", with: " ") }
    let width = titles.map(\.count).max() ?? 0
    return zip(titles, rows).map { title, row in
      title + String(repeating: " ", count: width - title.count + 2) + row.value.text
    }.joined(separator: "\n")
  }

  var json: String {
    "{" + rows.map { JSONString.quoted($0.name) + ": " + $0.value.json }.joined(separator: ", ") + "}"
  }
}

extension StatusReport.Value {
  var text: String {
    switch self {
    case .text(let text): text ?? "-"
    case .number(let number): number.map(Self.digits) ?? "-"
    case .bytes(let bytes): Self.size(bytes)
    case .flag(let flag): flag ? "yes" : "no"
    case .time(let time): time?.description ?? "-"
    case .words(let words): words.isEmpty ? "-" : words.joined(separator: ", ")
    }
  }

  var json: String {
    switch self {
    case .text(let text): text.map(JSONString.quoted) ?? "null"
    case .number(let number): number.map(Self.digits) ?? "null"
    case .bytes(let bytes): String(bytes)
    case .flag(let flag): flag ? "true" : "false"
    case .time(let time): time.map { JSONString.quoted($0.description) } ?? "null"
    case .words(let words): "[" + words.map(JSONString.quoted).joined(separator: ", ") + "]"
    }
  }

  /// Without a fraction if there is none.
  private static func digits(_ number: Double) -> String {
    Int64(exactly: number).map(String.init) ?? String(number)
  }

  private static func size(_ bytes: Int64) -> String {
    var (value, unit) = (Double(bytes), "bytes")
    for larger in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 { (value, unit) = (value / 1024, larger) }
    return unit == "bytes" ? "\(bytes) bytes" : "\(Double(Int64(value * 10)) / 10) \(unit)"
  }
}

extension ServingProcess {
  fileprivate var description: String {
    name + (since.map { " since \($0)" } ?? "") + (isExclusive ? "" : " (shared)")
  }
}

extension ListenAddress {
  /// Where a process of the same machine reaches it.
  fileprivate var forConnecting: ListenAddress {
    switch host {
    case "0.0.0.0": ListenAddress(host: "127.0.0.1", port: port)
    case "::": ListenAddress(host: "::1", port: port)
    default: self
    }
  }
}
