import EventLoop
import Foundation
import HTTP
@testable import Observability
@testable import Server
import TestSupport
import Testing

/// The documents for operators agree with the code: settings, metrics, alerts and the dashboard.
@Suite struct OperationsDocuments {
  private static let documents = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../docs").standardizedFileURL

  private static func document(_ name: String) throws -> String {
    try String(contentsOf: documents.appending(path: name), encoding: .utf8)
  }

  /// The metrics that there are, and their kinds.
  private static func metrics() async throws -> [String: String] {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      let lines = try await registry.askAdmin("GET", "/metrics").text.split(separator: "\n")
      let types = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ") }
      return Dictionary(uniqueKeysWithValues: types.map { (String($0[2]), String($0[3])) })
    }
  }

  @Test func `The table of metrics names those that there are, and no other`() async throws {
    let rows = try Self.document("operations.md").split(separator: "\n").map { $0.split(separator: "|") }
    let table = rows.drop { $0.first != " metric " }.prefix { $0.count >= 2 }.dropFirst(2)
    let named = table.flatMap { $0[0].matches(of: /`([a-z0-9_]+)(?:\{[a-z_,]+\})?`/).map { String($0.1) } }
    let metrics = try await Self.metrics()
    #expect(Set(named).count == named.count)
    #expect(named.sorted() == metrics.keys.sorted())
  }

  @Test func `The table of settings is made from their declarations`() throws {
    let rows = Setting.allCases.map { setting in
      let declaration = setting.declaration
      let unit = declaration.unit.map { " \($0)" } ?? ""
      let isDefault = declaration.defaultText.map { "`\($0)`\(unit)" } ?? declaration.computedDefault ?? "none"
      let bounds = declaration.bounds.map { "; \($0.lowerBound) to \($0.upperBound)" } ?? ""
      return
        "| `\(setting.rawValue)` | \(isDefault) | \(declaration.meaning)\(bounds) | `\(declaration.example)` |\n"
    }
    let table = "| variable | default | meaning | example |\n| --- | --- | --- | --- |\n" + rows.joined()
    #expect(try GeneratedPart.isUpToDate(table, madeFrom: "Setting", in: "settings.md"))
  }

  @Test func `The alerts ask for metrics that there are`() async throws {
    let lines = try Self.document("prometheus-alerts.yml").split(separator: "\n")
    let expressions = lines.compactMap { $0.firstMatch(of: /^ +expr: (.*)$/).map { String($0.1) } }
    #expect(expressions.count >= 10)
    #expect(lines.count { $0.contains("- alert: ") } == expressions.count)
    // `up` is Prometheus' own; operators' backups write the other.
    try await Self.check(expressions, beside: ["up", "device_registry_backup_timestamp_seconds"])
  }

  @Test func `The dashboard is JSON and asks for metrics that there are`() async throws {
    let json = try JSONSerialization.jsonObject(with: Data(Self.document("grafana-dashboard.json").utf8))
    let dashboard = try #require(json as? [String: Any])
    let panels = try #require(dashboard["panels"] as? [[String: Any]])
    let expressions = panels.flatMap { $0["targets"] as? [[String: Any]] ?? [] }.compactMap {
      $0["expr"] as? String
    }
    #expect(expressions.count >= panels.count)
    #expect(Set(panels.compactMap { $0["id"] as? Int }).count == panels.count)
    let asked = try await Self.check(expressions)
    // All that there is to see is on it.
    #expect(try await Self.metrics().keys.filter { !asked.contains($0) } == [])
  }

  /// Records each name in the expressions that is no metric; answers the metrics that were asked for.
  @discardableResult
  private static func check(_ expressions: [String], beside others: Set<String> = []) async throws -> Set<
    String
  > {
    let metrics = try await metrics()
    let series = metrics.flatMap { name, kind in
      kind == "histogram" ? ["_bucket", "_sum", "_count"].map { (name + $0, name) } : [(name, name)]
    }
    let metricOfSeries = Dictionary(uniqueKeysWithValues: series)
    var asked: Set<String> = []
    for expression in expressions {
      let names = Self.names(in: expression).subtracting(others)
      for name in names {
        if let metric = metricOfSeries[name] {
          asked.insert(metric)
        } else {
          Issue.record("\(name), in \(expression)")
        }
      }
      #expect(!names.isEmpty || !others.isEmpty)
    }
    return asked
  }

  /// The names of series in an expression of PromQL: what is left without selectors, ranges, groupings, functions,
  /// operators and numbers.
  private static func names(in expression: String) -> Set<String> {
    let bare = expression.replacing(/\{[^}]*\}/, with: " ").replacing(/\[[^\]]*\]/, with: " ")
      .replacing(/\b(by|without|on|ignoring) *\([^)]*\)/, with: " ").replacing(/\b(and|or|unless)\b/, with: " ")
      .replacing(/\boffset +[0-9a-z]+/, with: " ")
      .replacing(/\b[a-z_0-9]+ *\(/, with: "(")
    return Set(bare.matches(of: /\b[a-z_][a-z0-9_]*/).map { String($0.0) })
  }
}

/// The metrics are there when they are needed most.
@Suite struct StuckLoops {
  @Test func `The metrics are served while a loop is stuck, and report it`() async throws {
    let loop = try EventLoop(name: "stuck-test")
    let metrics = Metrics()
    var services = RunningServices()
    services.start(loop)
    for pulse in PartMetrics(metrics: metrics).describe([loop]) { services.start(pulse, on: loop) }
    let address = try #require(ListenAddress("127.0.0.1:0"))
    let admin = try await AdminServer(
      listener: AdminServer.listen(at: address), metrics: metrics)
    let client = HTTPClient(port: admin.addresses[0].port)

    let stuck = DispatchSemaphore(value: 0)
    loop.submit { stuck.wait() }
    var silence = 0.0
    let deadline = ContinuousClock.now + .seconds(30)
    while silence < 0.3, ContinuousClock.now < deadline {
      let line = try await client.send("GET", "/metrics").text.split(separator: "\n").last
      silence = line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) } ?? 0
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(silence >= 0.3)
    stuck.signal()
    services.start(admin)
    await services.shutDown()
  }
}
