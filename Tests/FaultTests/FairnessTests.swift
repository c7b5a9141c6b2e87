import Foundation
import Glibc
import TestSupport
import Testing

/// `make test-fairness` runs it, on a release build.
@Suite(
  "Fairness: what one client does within its limits hurts no other", .serialized,
  .enabled(if: FairnessArena.seconds != nil), .timeLimit(.minutes(15)))
struct FairnessTests {
  @Test(arguments: DatabaseKind.allCases)
  func `A client sends signals that live a second to 10,000 devices, on 64 connections`(
    kind: DatabaseKind
  ) async throws {
    try await FairnessArena.run("signals", on: kind) { arena in
      try await arena.measure("signals to 10,000 devices") { isOver in
        let request = arena.request(
          "POST", "/api/v1/signals", json: #"{"payload":{},"all":true,"ttl_seconds":1}"#)
        let statuses = await arena.flood(connections: 64, until: isOver) { _, _ in request }
        print("  noisy was answered \(statuses)")
        #expect(statuses[500] == nil)
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A client halts 10,000 devices and lets them trade again, on 8 connections`(
    kind: DatabaseKind
  ) async throws {
    try await FairnessArena.run("halts", on: kind) { arena in
      let alone = try await milliseconds {
        let answer = try await arena.service.ask(
          "POST", "/api/v1/devices/bulk", token: arena.noisy,
          json: ["action": "set_trading_mode", "select": ["all": true], "trading_mode": "close_only"])
        #expect(answer.status == 200 && answer.text.contains("\"changed\":10000"), "\(answer.text)")
      }
      print("  10,000 devices changed their mode in \(alone) ms")
      #expect(Double(alone) <= stretched(2000))
      try await arena.measure("a halt of 10,000 devices") { isOver in
        let modes = ["halted", "normal", "close_only"]
        let statuses = await arena.flood(connections: 8, until: isOver) { connection, number in
          arena.request(
            "POST", "/api/v1/devices/bulk",
            json:
              #"{"action":"set_trading_mode","select":{"all":true},"trading_mode":"\#(modes[(connection + number) % 3])"}"#
          )
        }
        print("  noisy was answered \(statuses)")
        #expect(statuses[500] == nil)
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `Signals to 10,000 devices expire and are deleted`(kind: DatabaseKind) async throws {
    try await FairnessArena.run(
      "expiry", on: kind, settings: ["SIGNAL_RETENTION_DAYS": "0"],
      prepare: { try Self.insertSignals(Self.many(129), toAllOfNoisy: true, $0, kind) }
    ) { arena in
      try await arena.measure("expired signals are deleted", seconds: 15 + (FairnessArena.seconds ?? 0)) { _ in
      }
      let left = try Database.column(arena.databaseURL, "SELECT count(*) FROM deliveries").first.flatMap {
        Int($0)
      }
      print("  deliveries left: \(left ?? -1)")
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A client with many deliveries is removed`(kind: DatabaseKind) async throws {
    try await FairnessArena.run(
      "removal", on: kind, prepare: { try Self.insertSignals(Self.many(100), toAllOfNoisy: true, $0, kind) }
    ) { arena in
      try await arena.measure("a client is removed", seconds: 10 + (FairnessArena.seconds ?? 0)) { _ in
        let elapsed = try await milliseconds {
          _ = try await arena.service.demand(
            204, "DELETE", "/api/v1/clients/noisy", token: Service.administrator)
        }
        print("  removed after \(elapsed) ms")
        let reads = try await arena.service.ask("GET", "/api/v1/devices", token: arena.noisy)
        #expect(reads.status == 404)
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A client asks for large answers and reads none of them`(kind: DatabaseKind) async throws {
    try await FairnessArena.run(
      "unread", on: kind, prepare: { try Self.insertSignals(1, toAllOfNoisy: true, $0, kind) }
    ) { arena in
      let signal =
        try await arena.service.demand(200, "GET", "/api/v1/signals", token: arena.noisy)
        .array()[0]["id"] as! String
      // The burst that the limit allows is some 375 such answers, which take PostgreSQL and the loops most of a second.
      try await arena.measure("answers that nobody reads", afterSeconds: 1.5) { isOver in
        let requests = ["/api/v1/signals/\(signal)", "/api/v1/devices"].map { arena.request("GET", $0) }
        var sockets: [ClientSocket] = []
        while !isOver() {
          if sockets.count < 600 {
            let socket = try ClientSocket(
              port: arena.service.client.port, deadline: Date(timeIntervalSinceNow: 60))
            // Pipelined: a server that answers all of them holds all of them.
            socket.write(Array((0..<8).map { requests[$0 % 2] }.joined()))
            sockets.append(socket)
          } else {
            usleep(20_000)
          }
        }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A device polls that has 100,000 expired deliveries`(kind: DatabaseKind) async throws {
    try await FairnessArena.run(
      "poll", on: kind, prepare: { try Self.insertSignals(100_000, toAllOfNoisy: false, $0, kind) }
    ) { arena in
      let device = try await arena.rotatedDevice(1)
      try await arena.measure("a device with 100,000 expired deliveries polls") { isOver in
        while !isOver() {
          let elapsed = try await milliseconds {
            let answer = try await device.poll(of: arena.service)
            #expect([200, 429].contains(answer.status))
          }
          #expect(elapsed < stretched(250))
        }
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A client lists all of its devices on 64 connections`(kind: DatabaseKind) async throws {
    try await FairnessArena.run("lists", on: kind) { arena in
      try await arena.measure("lists of devices") { isOver in
        let request = arena.request("GET", "/api/v1/devices")
        let statuses = await arena.flood(connections: 64, until: isOver) { _, _ in request }
        print("  noisy was answered \(statuses)")
      }
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A client rotates one device on 200 connections`(kind: DatabaseKind) async throws {
    try await FairnessArena.run("rotations", on: kind) { arena in
      let quiet = Service.token(subject: "quiet")
      try await arena.measure("rotations") { isOver in
        let request = arena.request(
          "POST", "/api/v1/devices/\(FairnessArena.noisyDevice(1))/rotate", json: #"{"grace_seconds":0}"#)
        async let statuses = arena.flood(connections: 200, until: isOver) { _, _ in request }
        var longest = 0
        var number = 0
        while !isOver() {
          number += 1
          let elapsed = try await milliseconds {
            _ = try await arena.service.demand(
              201, "POST", "/api/v1/devices", token: quiet, json: ["device_name": "new \(number)"])
          }
          longest = max(longest, elapsed)
          usleep(100_000)
        }
        print("  noisy was answered \(await statuses); quiet registers within \(longest) ms")
        #expect(longest < stretched(1000))
      }
    }
  }

  @Test
  func `A device far over its limit stores no nonces`() async throws {
    try await RedisServer.with(settings: ["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]) { redis in
      try await FairnessArena.run(
        "nonces", on: .postgres, settings: ["REPLAY_STORE": "redis://127.0.0.1:\(redis.port)/0"]
      ) { arena in
        let device = try await arena.rotatedDevice(1)
        try await arena.measure("a device over its limit", seconds: 5 + (FairnessArena.seconds ?? 0)) {
          isOver in
          let statuses = await arena.flood(connections: 16, until: isOver) { _, _ in
            try device.signedPoll(of: arena.service)
          }
          let nonces = await redis.run("KEYS device-registry:nonce:\(device.id):*").split(separator: " ").count
          print("  noisy was answered \(statuses); Redis has \(nonces) of its nonces")
          #expect(statuses[503] == nil)
          #expect(statuses[429] ?? 0 > 0)
          #expect(nonces == statuses[200])
        }
      }
    }
  }

  @Test
  func `A client that parks as many polls as there may be loses places to others`() async throws {
    try await FairnessArena.run("parked", on: .sqlite, settings: ["MAX_PARKED_POLLS": "40"]) { arena in
      var devices: [FaultDevice] = []
      for number in 1...60 {
        devices.append(try await arena.rotatedDevice(number))
      }
      let noisyDevices = devices
      let patient = try await arena.service.newDevice(of: Service.token(subject: "quiet"), "patient")
      try await arena.measure("parked polls", seconds: max(3, FairnessArena.seconds ?? 0)) { isOver in
        async let statuses = arena.flood(connections: noisyDevices.count, until: isOver) { connection, _ in
          try noisyDevices[connection].signedPoll("?wait=30", of: arena.service)
        }
        try await FaultTests.wait(for: "all places to be taken") {
          try await arena.service.metric("parked_polls") ?? 0 >= 40
        }
        let waited = try await milliseconds {
          let answer = try await patient.poll("?wait=2", of: arena.service)
          #expect(answer.status == 200)
        }
        #expect(waited >= 1900, "the poll of quiet returned after \(waited) ms")
        _ = await statuses
      }
    }
  }

  @Test
  func `Renames of 16 devices among four names do not wait for a deadlock`() async throws {
    try await FairnessArena.run("renames", on: .postgres) { arena in
      try await arena.measure("renames") { isOver in
        let requests = (0..<16).map { device in
          (0..<4).map { name in
            arena.request(
              "PATCH", "/api/v1/devices/\(FairnessArena.noisyDevice(device + 1))",
              json: #"{"device_name":"name \#(name)"}"#)
          }
        }
        var longest = 0
        async let statuses = arena.flood(connections: 15, until: isOver) { connection, number in
          requests[connection][(connection + number) % 4]
        }
        var number = 0
        while !isOver() {
          number += 1
          let name = "name \(number % 4)"
          let elapsed = try await milliseconds {
            let answer = try await arena.service.ask(
              "PATCH", "/api/v1/devices/\(FairnessArena.noisyDevice(16))", token: arena.noisy,
              json: ["device_name": name])
            #expect([200, 409, 429].contains(answer.status))
          }
          longest = max(longest, elapsed)
        }
        print("  noisy was answered \(await statuses), after \(longest) ms at most")
        #expect(longest < stretched(500))
      }
      let deadlocks = try Database.column(
        arena.databaseURL, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
      #expect(deadlocks == ["0"])
    }
  }

  @Test
  func `A client that opens every connection and is silent does not prevent others from connecting`()
    async throws
  {
    try await FairnessArena.run(
      "connections", on: .sqlite,
      // A limit that a test can reach: 1,024 descriptors are some 900 connections.
      through: ["/usr/bin/prlimit", "--nofile=1024:1024"]
    ) { arena in
      try await arena.measure("silent connections") { (isOver) async throws in
        var sockets: [ClientSocket] = []
        while !isOver() {
          if sockets.count < 3000,
            // From several addresses, none of which is that of `quiet`: one may not have all connections.
            let socket = try? ClientSocket(
              port: arena.service.client.port, from: "127.0.0.\(2 + sockets.count % 4)",
              deadline: Date(timeIntervalSinceNow: 60))
          {
            sockets.append(socket)
          } else {
            usleep(5000)
          }
        }
        #expect(try await arena.service.status("GET", "/healthz") == 200)
        print("  noisy opened \(sockets.count) connections")
      }
    }
  }

  // MARK: What is in the database before

  /// The number in a long run, a fifth of it in a short one.
  private static func many(_ number: Int) -> Int { FairnessArena.seconds ?? 0 >= 10 ? number : number / 5 }

  /// Inserts expired signals of `noisy`, each to all of its devices, or to the first.
  private static func insertSignals(
    _ count: Int, toAllOfNoisy isToAll: Bool, _ url: String, _ kind: DatabaseKind
  ) throws {
    let devices = isToAll ? "client_id = 'noisy'" : "id = '\(FairnessArena.noisyDevice(1))'"
    let number = isToAll ? FairnessArena.noisyDevices : 1
    switch kind {
    case .sqlite:
      _ = try Database.column(
        url,
        """
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < \(count))
        INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload)
        SELECT printf('0193eeee-0000-7000-8000-%012x', n), 'noisy', \(number), 1764000000000, 1764000001000, '{}'
        FROM numbers
        """)
      _ = try Database.column(
        url,
        """
        INSERT INTO deliveries (signal_id, device_id, expires_at)
        SELECT signals.id, devices.id, 1764000001000 FROM signals, devices WHERE devices.\(devices)
        """)
    case .postgres:
      _ = try Database.column(
        url,
        """
        INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload)
        SELECT ('0193eeee-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'noisy', \(number),
          to_timestamp(1764000000), to_timestamp(1764000001), '{}'
        FROM generate_series(1, \(count)) AS numbers (n)
        """)
      _ = try Database.column(
        url,
        """
        INSERT INTO deliveries (signal_id, device_id, expires_at)
        SELECT signals.id, devices.id, to_timestamp(1764000001) FROM signals, devices WHERE devices.\(devices)
        """)
      _ = try Database.column(url, "ANALYZE")
    }
  }
}

extension FaultDevice {
  /// The bytes of a signed poll, with a new nonce, for a connection that is kept open.
  fileprivate func signedPoll(_ query: String = "", of service: Service) throws -> [UInt8] {
    try signed("GET", "/api/v1/device/poll\(query)", of: service)
  }
}
