import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Sending signals") struct SendingSignals {
    @Test(arguments: DatabaseKind.allCases)
    func `A signal to all goes to the devices that are active now, and one to a list to each once`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let one = try await registry.newSignedDevice(of: owner)
      let two = try await registry.newSignedDevice(of: owner)
      let gone = try await registry.newSignedDevice(of: owner)
      try await registry.revoke(gone, of: owner)
      func send(_ json: [String: Any]) async throws -> [String: Any] {
        let answer = try await registry.ask(
          "POST", "/api/v1/signals", as: owner, json: json.merging(["payload": ["a": 1]]) { $1 })
        #expect(answer.status == 201, "\(answer.text)")
        return try answer.object()
      }
      let all = try await send(["all": true])
      let late = try await registry.newSignedDevice(of: owner)
      #expect(all["devices"] as? Int == 2)
      #expect(try await registry.polledIDs(late) == [])
      let listed = try await send(["device_ids": [one.id, two.id, one.id], "ttl_seconds": 1800])
      #expect(listed["devices"] as? Int == 2)
      for (signal, seconds): ([String: Any], Double) in [(all, 3600), (listed, 1800)] {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        let created = try style.parse(signal["created_at"] as! String)
        let expires = try style.parse(signal["expires_at"] as! String)
        #expect(expires.timeIntervalSince(created) == seconds)
      }
      let ids = [all["id"] as! String, listed["id"] as! String]
      for device in [one, two] { #expect(try await registry.polledIDs(device) == ids) }
      #expect(
        try await registry.ask(
          "POST", "/api/v1/signals", as: owner, json: ["payload": [:], "device_ids": [one.id, gone.id]]
        ).status == 409)
      #expect(try await registry.polledIDs(one) == ids)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A payload is an object, arrives byte by byte, and has 16 KiB at most`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      func send(_ payload: String) async throws -> Int {
        let answer = try await registry.client.send(
          "POST", "/api/v1/signals",
          fields: [("Authorization", "Bearer \(owner.token)"), ("Content-Type", "application/json")],
          body: Array(#"{"payload": \#(payload), "all": true}"#.utf8))
        registry.check(answer, to: "POST", "/api/v1/signals")
        return answer.status
      }
      let odd = #"{ "lots" : 0.10,"é":"\u00e9 🚀", "deep":[{"a":null}] }"#
      #expect(try await send(odd) == 201)
      let largest = #"{"a":""# + String(repeating: "x", count: 16_384 - 8) + #""}"#
      #expect(largest.utf8.count == 16_384)
      #expect(try await send(largest) == 201)
      #expect(try await send(largest.replacing("\"a\"", with: "\"ab\"")) == 400)
      for payload in ["[]", "1", "null", "\"a\""] { #expect(try await send(payload) == 400) }
      let polled = try await registry.poll(device).text
      #expect(polled.contains(#""payload":"# + odd) && polled.contains(#""payload":"# + largest))
    }

    @Test(arguments: DatabaseKind.allCases)
    func `What is out of bounds is named`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      func field(_ json: [String: Any]) async throws -> String? {
        let answer = try await registry.ask(
          "POST", "/api/v1/signals", as: owner, json: json.merging(["payload": ["a": 1]]) { own, _ in own })
        #expect(answer.status == (answer.text.contains("errors") ? 400 : 201), "\(answer.text)")
        return (try answer.object()["errors"] as? [[String: String]])?.first?["field"]
      }
      for seconds in [1, 604_800] { #expect(try await field(["all": true, "ttl_seconds": seconds]) == nil) }
      for seconds: Any in [0, 604_801, -1, 1.5, "60"] {
        #expect(try await field(["all": true, "ttl_seconds": seconds]) == "ttl_seconds")
      }
      let many = Array(repeating: device.id, count: 1001)
      #expect(try await field(["device_ids": many]) == "device_ids")
      #expect(try await field(["device_ids": Array(many.dropLast())]) == nil)
      #expect(try await field(["device_ids": [String]()]) == "device_ids")
      #expect(try await field(["all": false]) == "all")
      #expect(try await field(["all": true, "payload": 7]) == "payload")
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A client has at most 10,000 live signals`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      _ = try await registry.newSignedDevice(of: owner)
      let signal = try await registry.newSignal(of: owner)
      // As many more but one, each like the first but for its id.
      _ = try await registry.database.first(
        """
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9998)
        INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload)
        SELECT \(kind == .postgres
          ? "gen_random_uuid()" : "printf('00000000-0000-4000-8000-%012x', n + abs(random() % 1000000) * 100000)"),
          client_id, devices, created_at, expires_at, payload
        FROM numbers JOIN signals ON signals.id = '\(signal)' RETURNING id
        """)
      _ = try await registry.newSignal(of: owner)
      let refused = try await registry.ask(
        "POST", "/api/v1/signals", as: owner, json: ["payload": ["a": 1], "all": true])
      #expect(refused.status == 409)
      #expect(try TestRegistry.kind(refused) == "too-many-signals")
      // Another client's do not count.
      _ = try await registry.newSignal(of: registry.newOwner())
    }

    @Test(arguments: DatabaseKind.allCases)
    func `An owner's signals are listed newest first, 100 at a time, and no one else's`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      var sent: [String] = []
      for _ in 0..<101 { sent.insert(try await registry.newSignal(of: owner), at: 0) }
      _ = try await registry.newSignal(of: registry.newOwner())
      let page = try await registry.ask("GET", "/api/v1/signals", as: owner)
      #expect(try page.array().map { $0["id"] as? String } == Array(sent.prefix(100)))
      let link = try #require(page.value(of: "link")?.firstMatch(of: /<([^>]+)>; rel="next"/)?.1)
      let rest = try await registry.ask("GET", String(link), as: owner)
      #expect(try rest.array().map { $0["id"] as? String } == [sent[100]])
      #expect(rest.value(of: "link") == nil)
      for limit in ["0", "1001", "x"] {
        #expect(try await registry.ask("GET", "/api/v1/signals?limit=\(limit)", as: owner).status == 400)
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `How many devices it was sent to stays, in the list and alone, when one of them is gone`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let one = try await registry.newSignedDevice(of: owner)
      let gone = try await registry.newSignedDevice(of: owner)
      let id = try await registry.newSignal(of: owner)
      // SQLite deletes what hangs on a row only for those who ask it to.
      if kind == .sqlite {
        _ = try await registry.database.first(
          "DELETE FROM deliveries WHERE device_id = '\(gone.id)' RETURNING 1")
      }
      _ = try await registry.database.first("DELETE FROM devices WHERE id = '\(gone.id)' RETURNING 1")
      let list = try await registry.ask("GET", "/api/v1/signals", as: owner).array()
      #expect(list.map { $0["devices"] as? Int } == [2])
      let alone = try await registry.ask("GET", "/api/v1/signals/\(id)", as: owner).object()
      #expect(alone["devices"] as? Int == 2)
      let deliveries = alone["deliveries"] as? [[String: Any]]
      #expect(deliveries?.map { $0["device_id"] as? String } == [one.id])
    }
  }

  @Suite("Receiving signals") struct ReceivingSignals {
    @Test(arguments: DatabaseKind.allCases)
    func `Signals come oldest first, as many as asked for, and again until they are acknowledged`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      var sent: [String] = []
      for _ in 0..<101 { sent.append(try await registry.newSignal(of: owner)) }
      for _ in 0..<2 { #expect(try await registry.polledIDs(device) == Array(sent.prefix(100))) }
      #expect(try await registry.polledIDs(device, query: "?max=2&wait=30") == Array(sent.prefix(2)))
      #expect(try await registry.polledIDs(device, query: "?max=100") == Array(sent.prefix(100)))
      _ = try await registry.ack(device, sent.prefix(100).map { ["signal_id": $0, "status": "placed"] })
      #expect(try await registry.polledIDs(device) == [sent[100]])
      for query in ["?max=0", "?max=101", "?max=x", "?max=1&max=1", "?wait=31", "?wait=-1", "?wait=1.5"] {
        let answer = try await registry.poll(device, query: query)
        #expect(answer.status == 400, "\(query)")
        #expect((try answer.object()["errors"] as? [[String: String]])?.count == 1)
      }
      #expect(try await registry.poll(device, query: "?unheard=of").status == 400)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A delivery is handed out once a poll returned it, also when it is acknowledged`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let id = try await registry.newSignal(of: owner)
      func delivery() async throws -> [String: Any] {
        let signal = try await registry.ask("GET", "/api/v1/signals/\(id)", as: owner).object()
        return try #require((signal["deliveries"] as? [[String: Any]])?.first)
      }
      let unseen = try await delivery()
      #expect(unseen["state"] as? String == "pending" && unseen["handed_out_at"] is NSNull)
      #expect(try await registry.poll(device).status == 200)
      try await registry.until("it is written") { try await delivery()["state"] as? String == "handed_out" }
      let first = try #require(try await delivery()["handed_out_at"] as? String)
      #expect(try await registry.poll(device).status == 200)
      #expect(try await registry.ack(device, [["signal_id": id, "status": "placed"]]).status == 200)
      let acked = try await delivery()
      #expect(acked["state"] as? String == "acked" && acked["handed_out_at"] as? String == first)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The first ack of a signal counts, and a repeated one is acked again`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let id = try await registry.newSignal(of: owner)
      let ids =
        try await registry.ack(
          device,
          [
            ["signal_id": id, "status": "placed", "broker_ticket": "7", "error": NSNull()],
            ["signal_id": id, "status": "failed", "error": "second word in one request"],
          ]
        ).object()["acked"] as? [String]
      #expect(ids == [id])
      let again = try await registry.ack(device, [["signal_id": id, "status": "failed", "error": "later"]])
      #expect(try again.object()["acked"] as? [String] == [id])
      let signal = try await registry.ask("GET", "/api/v1/signals/\(id)", as: owner).object()
      let delivery = try #require((signal["deliveries"] as? [[String: Any]])?.first)
      #expect(delivery["status"] as? String == "placed" && delivery["broker_ticket"] as? String == "7")
      #expect(delivery["error"] is NSNull && delivery["acked_at"] is String)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Another device's signal is unknown, and stays with that device`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let neighbour = try await registry.newSignedDevice(of: owner)
      let mine = try await registry.newSignal(of: owner, to: [device])
      let others = try await registry.newSignal(of: owner, to: [neighbour])
      let none = UUID().uuidString.lowercased()
      let answer = try await registry.ack(
        device, [none, mine, others].map { ["signal_id": $0, "status": "skipped"] })
      #expect(try answer.object()["acked"] as? [String] == [mine])
      #expect(try answer.object()["unknown"] as? [String] == [none, others])
      #expect(try await registry.polledIDs(neighbour) == [others])
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A request has 0 to 100 acks, each of its form`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      func acks(_ count: Int) -> [[String: Any]] {
        (0..<count).map { _ in ["signal_id": UUID().uuidString.lowercased(), "status": "placed"] }
      }
      #expect(try await registry.ack(device, []).status == 200)
      #expect(try await (registry.ack(device, acks(100)).object()["unknown"] as? [String])?.count == 100)
      func field(_ acks: [[String: Any]]) async throws -> String? {
        let answer = try await registry.ack(device, acks)
        #expect(answer.status == 400)
        return (try answer.object()["errors"] as? [[String: String]])?.first?["field"]
      }
      let id = UUID().uuidString.lowercased()
      #expect(try await field(acks(101)) == "acks")
      #expect(try await field([["signal_id": "x", "status": "placed"]]) == "acks.0.signal_id")
      #expect(try await field(acks(1) + [["signal_id": id, "status": "eaten"]]) == "acks.1.status")
      #expect(try await field([["status": "placed"]])?.contains("signal_id") == true)
      let long = String(repeating: "x", count: 501)
      #expect(try await field([["signal_id": id, "status": "failed", "error": long]]) == "acks.0.error")
      let ticket = ["signal_id": id, "status": "placed", "broker_ticket": String(repeating: "7", count: 65)]
      #expect(try await field([ticket]) == "acks.0.broker_ticket")
      let plain = try await registry.client.send(
        "POST", "/api/v1/device/ack",
        fields: device.fields(
          of: .init("POST", "/api/v1/device/ack", body: Array("[]".utf8)), port: registry.client.port
        ).map { ($0.name, $0.value) } + [("Content-Type", "text/plain")], body: Array("[]".utf8))
      #expect(plain.status == 415 && plain.value(of: "signature") != nil)
    }
  }
}
