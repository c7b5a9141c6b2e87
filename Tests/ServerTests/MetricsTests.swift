import Foundation
import TestSupport
import Testing

/// What those who run the service read of it.
@Suite struct ServiceMetricsTests {
  /// The value of a metric with these labels; nil where it is not there.
  private static func value(_ sample: String, in text: String) -> String? {
    text.split(separator: "\n").first { $0.hasPrefix(sample + " ") }.map {
      String($0.dropFirst(sample.count + 1))
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Registrations and revocations are counted, one that changes nothing is not`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(await TestDatabase(kind)) { registry in
      let before = try await registry.askAdmin("GET", "/metrics").text
      #expect(Self.value("devices_registered_total", in: before) == "0")
      #expect(Self.value("devices_revoked_total", in: before) == "0")

      let owner = try await registry.newOwner()
      let id = try await registry.newDevice(of: owner, "a")["id"] as! String
      _ = try await registry.newDevice(of: owner, "b")
      _ = try await registry.ask("POST", "/api/v1/devices", as: owner, json: ["device_name": "b"])
      for _ in 0..<2 { _ = try await registry.ask("POST", "/api/v1/devices/\(id)/revoke", as: owner) }

      let after = try await registry.askAdmin("GET", "/metrics").text
      #expect(Self.value("devices_registered_total", in: after) == "2")
      #expect(Self.value("devices_revoked_total", in: after) == "1")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Requests are counted and timed by route, and no label holds what was sent`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(await TestDatabase(kind)) { registry in
      let owner = try await registry.newOwner()
      let device = try await registry.newDevice(of: owner, "EA-Unheard-Of")
      let id = device["id"] as! String
      for _ in 0..<3 { _ = try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner) }
      _ = try await registry.ask("GET", "/api/v1/devices/\(UUID().uuidString.lowercased())", as: owner)
      _ = try await registry.ask("GET", "/api/v1/devices?limit=7", token: "forged.token.here")
      _ = try await registry.ask("GET", "/coffee/\(id)")
      _ = try await registry.ask("BREW", "/api/v1/devices")
      _ = try await registry.client.sendRaw(Array("GET /\(id) HTTP/1.1\r\n\r\n".utf8), methods: ["GET"])

      let text = try await registry.askAdmin("GET", "/metrics").text
      func requests(_ route: String, _ method: String, _ status: Int) -> String? {
        Self.value(
          #"http_requests_total{route="\#(route)",method="\#(method)",status="\#(status)"}"#, in: text)
      }
      #expect(requests("/api/v1/devices/{id}", "GET", 200) == "3")
      #expect(requests("/api/v1/devices/{id}", "GET", 404) == "1")
      #expect(requests("/api/v1/devices", "POST", 201) == "1")
      #expect(requests("/api/v1/devices", "GET", 401) == "1")
      #expect(requests("none", "GET", 404) == "1")
      #expect(requests("none", "other", 405) == "1")
      #expect(requests("none", "other", 400) == "1")
      let duration = "http_request_duration_seconds"
      #expect(Self.value(#"\#(duration)_count{route="/api/v1/devices/{id}"}"#, in: text) == "4")
      #expect(Self.value(#"\#(duration)_bucket{route="/api/v1/devices/{id}",le="+Inf"}"#, in: text) == "4")
      let sum = Self.value(#"\#(duration)_sum{route="/api/v1/devices/{id}"}"#, in: text).flatMap(Double.init)
      #expect(sum.map { $0 > 0 } == true)

      let sent = [id, owner.id, owner.token, "EA-Unheard-Of", "forged", "coffee", "BREW", TestRegistry.secret]
      let made = [device["secret"] as! String, device["hmac_key_hash"] as! String]
      for word in sent + made { #expect(!text.contains(word)) }
    }
  }

  @Test func `The contract's names are there from the start, with those of the process`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      let answer = try await registry.askAdmin("GET", "/metrics")
      #expect(answer.status == 200)
      #expect(answer.value(of: "Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
      let types = [
        "devices_registered_total counter", "devices_revoked_total counter", "ea_poll_total counter",
        "ea_ack_total counter", "ea_poll_duration_seconds histogram", "http_requests_total counter",
        "http_request_duration_seconds histogram", "http_connections_open gauge",
        "process_resident_memory_bytes gauge", "process_start_time_seconds gauge",
        "argon2id_queue_length gauge", "build_info gauge",
      ]
      for type in types { #expect(answer.text.contains("# TYPE \(type)\n")) }
      for result in ["placed", "failed", "skipped", "unknown"] {
        #expect(Self.value(#"ea_ack_total{result="\#(result)"}"#, in: answer.text) == "0")
      }
      #expect(Self.value(#"ea_poll_total{status="200"}"#, in: answer.text) == "0")
      let start = try #require(Self.value("process_start_time_seconds", in: answer.text).flatMap(Double.init))
      #expect(abs(start - Date().timeIntervalSince1970) < 600)
    }
  }

  @Test func `Open connections are counted on all loops`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: ["EVENT_LOOPS": "3"]) { registry in
      let deadline = Date(timeIntervalSinceNow: 30)
      let sockets = try (0..<5).map { _ in try ClientSocket(port: registry.client.port, deadline: deadline) }
      for socket in sockets {
        // What was answered was accepted.
        socket.write(Array("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        let answer = try socket.read()
        #expect(!answer.isEmpty)
      }
      let text = try await registry.askAdmin("GET", "/metrics").text
      #expect(Self.value("http_connections_open", in: text) == "5")
      withExtendedLifetime(sockets) {}
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Looks for devices are counted, and what they left to be written is soon written`(
    _ kind: DatabaseKind
  ) async throws {
    try await TestRegistry.with(await TestDatabase(kind)) { registry in
      let device = try await registry.newSignedDevice(of: try await registry.newOwner())
      for _ in 0..<3 { _ = try await registry.poll(device) }
      let text = try await registry.askAdmin("GET", "/metrics").text
      let looks = ["hit", "miss"].compactMap {
        Self.value(#"verifier_cache_lookups_total{result="\#($0)"}"#, in: text).flatMap { Int($0) }
      }
      #expect(looks.count == 2 && looks.reduce(0, +) == 3 && looks.last.map { $0 >= 1 } == true)
      // Presence is written once a second.
      let isWritten = try await registry.metricsShow { Self.value("presence_lag_seconds", in: $0) == "0" }
      #expect(isWritten)
    }
  }

  @Test func `The connections to PostgreSQL are counted by their kind`() async throws {
    try await TestRegistry.with(await TestDatabase(.postgres)) { registry in
      let areReady = try await registry.metricsShow { text in
        Self.value(#"postgres_connections_ready{kind="read"}"#, in: text) == "4"
          && Self.value(#"postgres_connections_ready{kind="write"}"#, in: text) == "16"
          && Self.value(#"postgres_connections_ready{kind="transaction"}"#, in: text) == "4"
      }
      #expect(areReady)
      let text = try await registry.askAdmin("GET", "/metrics").text
      for state in ["connecting", "down"] {
        #expect(Self.value(#"postgres_connections_\#(state){kind="read"}"#, in: text) == "0")
      }
      #expect(Self.value(#"postgres_waiting_requests{kind="write"}"#, in: text) == "0")
      for kind in ["rename", "revoke"] {
        #expect(Self.value(#"postgres_waiting_changes{kind="\#(kind)"}"#, in: text) == "0")
      }
      #expect(Self.value("sqlite_writer_queue_length", in: text) == nil)
      #expect(Self.value("redis_connections_ready", in: text) == nil)
    }
  }

  @Test func `The connections to Redis are counted, lost ones too`() async throws {
    try await RedisServer.with { redis in
      let settings = ["REPLAY_STORE": "redis://127.0.0.1:\(redis.port)/0"]
      try await TestRegistry.with(await TestDatabase(.sqlite), settings: settings) { registry in
        let areReady = try await registry.metricsShow { text in
          Self.value("redis_connections_ready", in: text) == "2"
            && Self.value("redis_connections_down", in: text) == "0"
        }
        #expect(areReady)
        let text = try await registry.askAdmin("GET", "/metrics").text
        #expect(Self.value("redis_pending_requests", in: text) == "0")
        #expect(Self.value("redis_waiting_requests", in: text) == "0")
        await redis.stop()
        let areDown = try await registry.metricsShow { text in
          Self.value("redis_connections_ready", in: text) == "0"
            && Self.value("redis_connections_down", in: text) == "2"
        }
        #expect(areDown)
      }
    }
  }

  @Test func `The process and each loop are measured`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      let hasBeaten = try await registry.metricsShow { text in
        ["0", "1"].allSatisfy { loop in
          Self.value(#"event_loop_lag_seconds_count{loop="\#(loop)"}"#, in: text).flatMap { Int($0) } ?? 0 > 0
        }
      }
      #expect(hasBeaten)
      let text = try await registry.askAdmin("GET", "/metrics").text
      func number(_ name: String) throws -> Double {
        try #require(Self.value(name, in: text).flatMap { Double($0) }, "\(name)")
      }
      #expect(try number("process_cpu_seconds_total") > 0)
      #expect(try number("process_open_fds") > 3)
      #expect(try number("process_open_fds") < number("process_max_fds"))
      #expect(try number(#"event_loop_silence_seconds{loop="1"}"#) >= 0)
      #expect(try number("log_queue_bytes") >= 0)
      #expect(try number(#"log_lines_dropped_total{reason="queue"}"#) == 0)
      #expect(try number("sqlite_writer_queue_length") >= 0)
      #expect(try number("http_connections_limit") > 0)
      #expect(Self.value("tls_certificate_expiry_timestamp_seconds", in: text) == nil)
    }
  }

  @Test func `The admin address answers GET and HEAD of /metrics, and nothing else`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      let get = try await registry.askAdmin("GET", "/metrics?debug=1")
      #expect(get.status == 200)
      let head = try await registry.askAdmin("HEAD", "/metrics")
      #expect(head.status == 200 && head.body.isEmpty)
      let post = try await registry.askAdmin("POST", "/metrics")
      #expect(post.status == 405 && post.value(of: "Allow") == "GET, HEAD")
      for path in ["/", "/metrics/", "/healthz", "/api/v1/devices", "/Metrics"] {
        let other = try await registry.askAdmin("GET", path)
        #expect(other.status == 404)
      }
      let elsewhere = try await registry.ask("GET", "/metrics")
      #expect(elsewhere.status == 404)
    }
  }

  @Test func `An empty ADMIN_LISTEN turns the metrics off`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite), settings: ["ADMIN_LISTEN": ""]) { registry in
      let health = try await registry.ask("GET", "/healthz")
      #expect(health.status == 200)
      #expect(!registry.hasAdmin)
    }
  }
}

extension TestRegistry {
  /// Whether the metrics come to show something, within half a minute.
  fileprivate func metricsShow(_ condition: (_ text: String) -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while try await !condition(askAdmin("GET", "/metrics").text) {
      guard ContinuousClock.now < deadline else { return false }
      try await Task.sleep(for: .milliseconds(20))
    }
    return true
  }
}
