import Crypto
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("Sealing, with the real program", .timeLimit(.minutes(5))) struct SealingTests {
  private let directory = TemporaryDirectory()

  /// A file with keys, each 32 times the byte.
  private func keyFile(_ bytes: UInt8...) throws -> String {
    let path = "\(directory.path)/keys-\(UUID().uuidString)"
    let lines = bytes.map { String(repeating: ($0 < 16 ? "0" : "") + String($0, radix: 16), count: 32) + "\n" }
    try Data(lines.joined().utf8).write(to: URL(filePath: path))
    chmod(path, 0o600)
    return path
  }

  private func service(on url: String, key: String? = nil) throws -> Service {
    try Service(on: url, logIn: directory, settings: key.map { ["SEALING_KEY_FILE": $0] } ?? [:])
  }

  /// Starts a service that is expected to refuse its settings.
  private func refusal(on url: String, key: String? = nil) async throws -> Program.Result {
    try await Program.run(
      ["serve"],
      [
        "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=", "DATABASE_URL=\(url)", "JWT_SECRET=\(Service.secret)",
        "SEALING_KEY_FILE=\(key ?? "")",
      ])
  }

  private func seal(_ url: String, key: String?, new: String? = nil) throws -> Program {
    try Program(
      ["seal"] + (new.map { ["--new-key-file", $0] } ?? []),
      ["DATABASE_URL=\(url)", "SEALING_KEY_FILE=\(key ?? "")"])
  }

  /// Waits until the device authenticates: after a start, nonces of the time before cannot be checked.
  private func expectPoll(of device: FaultDevice, at service: Service) async throws {
    try await wait(for: "the poll") { try await device.poll(of: service).status == 200 }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `The start refuses a wrong and a missing key, and a box that was changed gets 503`(
    kind: DatabaseKind
  ) async throws {
    let url = await kind.newDatabase(in: directory)
    let (old, new, both) = (try keyFile(1), try keyFile(2), try keyFile(2, 1))
    try await BlockingThreads.run {
      let first = try service(on: url, key: old)
      let device = try await first.newDevice(of: try await first.newOwner(), "EA")
      #expect(try first.stop() == 0)

      let wrong = try await refusal(on: url, key: new)
      #expect(wrong.status == 2)
      #expect(wrong.errors.contains("SEALING_KEY_FILE (--sealing-key-file): \(new) does not have the key "))
      #expect(wrong.errors.contains("name the file that has this key"))
      let missing = try await refusal(on: url)
      #expect(missing.status == 2)
      #expect(missing.errors.contains("the database has secrets that were sealed with the key "))
      #expect(missing.errors.contains("name the file that has this key"))
      let unsealed = try await seal(url, key: new).end()
      #expect(unsealed.status == 2)
      #expect(try await seal(url, key: nil).end().status == 2)

      let second = try service(on: url, key: both)
      try await expectPoll(of: device, at: second)
      #expect(try second.stop() == 0)

      let changed =
        kind == .sqlite
        ? "CAST(substr(stored_key, 1, 73) || zeroblob(8) AS BLOB)"
        : "substr(stored_key, 1, 73) || '\\x0000000000000000'::bytea"
      _ = try Database.column(url, "UPDATE devices SET stored_key = \(changed)")
      let third = try service(on: url, key: both)
      try await wait(for: "the box to be opened") {
        _ = try await device.poll(of: third)
        return third.log.contains("does not open with key")
      }
      #expect(try await device.poll(of: third).status == 503)
      #expect(third.log.contains("devices.stored_key of \(device.id) does not open with key"))
      #expect(try third.stop() == 0)
    }
  }

  @Test
  func `A stolen SQLite file has no key of a verifier in clear, also where it was stored plain before`()
    async throws
  {
    let url = await DatabaseKind.sqlite.newDatabase(in: directory)
    let key = try keyFile(1)
    try await BlockingThreads.run {
      var secrets: [String] = []
      func use(_ service: Service) async throws -> FaultDevice {
        let owner = try await service.newOwner()
        var device: FaultDevice?
        for number in 1...60 {
          let new = try await service.newDevice(of: owner, "EA \(number)")
          secrets.append(new.secret)
          device = new
        }
        for grace in [0, 3600] {
          let rotated = try await service.demand(
            200, "POST", "/api/v1/devices/\(device!.id)/rotate", token: owner, json: ["grace_seconds": grace])
          device = FaultDevice(id: device!.id, secret: try rotated.object()["secret"] as! String)
          secrets.append(device!.secret)
        }
        return device!
      }
      let plain = try service(on: url)
      let device = try await use(plain)
      #expect(keysInFiles(of: secrets) >= 120)
      #expect(try plain.stop() == 0)

      #expect(try await seal(url, key: key).end().status == 0)
      #expect(keysInFiles(of: secrets) == 0)

      let sealed = try service(on: url, key: key)
      _ = try await use(sealed)
      try await expectPoll(of: device, at: sealed)
      #expect(keysInFiles(of: secrets) == 0)
      #expect(try sealed.stop() == 0)
      #expect(keysInFiles(of: secrets) == 0)
    }
  }

  /// How many stored and server keys of the secrets are in the database's files.
  private func keysInFiles(of secrets: [String]) -> Int {
    let files = ["", "-wal", "-shm"].compactMap {
      FileManager.default.contents(atPath: "\(directory.path)/registry.db\($0)")
    }
    return secrets.reduce(0) { count, secret in
      let keys = Array(secret.utf8).withUnsafeBufferPointer { ScramKeys(secret: $0) }
      let found = [keys.storedKey, keys.serverKey].filter { key in
        files.contains { $0.range(of: Data(key)) != nil }
      }
      return count + found.count
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `What was stored plain is sealed while the service runs, and its devices do not notice`(
    kind: DatabaseKind
  ) async throws {
    let url = await kind.newDatabase(in: directory)
    let key = try keyFile(1)
    try await BlockingThreads.run {
      let plain = try service(on: url)
      let owner = try await plain.newOwner()
      var devices: [FaultDevice] = []
      for number in 1...10 { devices.append(try await plain.newDevice(of: owner, "EA \(number)")) }
      #expect(try plain.stop() == 0)
      try addDevices(5000, to: url, kind)

      let service = try service(on: url, key: key)
      for device in devices { try await expectPoll(of: device, at: service) }
      let token = try await devices[0].token(of: service)
      async let sealing = try seal(url, key: key).end()
      for round in 0..<5 {
        for device in devices { #expect(try await device.poll(of: service).status == 200, "\(round)") }
      }
      let end = try await sealing
      #expect(end.status == 0, "\(end.errors)")
      #expect(end.output.contains("sealed the secrets of 5010 devices; 5010 devices were read"))
      #expect(try await service.ask("GET", "/api/v1/device", token: token).status == 200)
      for device in devices { #expect(try await device.poll(of: service).status == 200) }
      _ = try await service.newDevice(of: owner, "later")
      #expect(try Database.column(url, "SELECT count(*) FROM devices WHERE length(server_key) = 32") == ["0"])
      #expect(try service.stop() == 0)

      let again = try self.service(on: url, key: key)
      for device in devices { try await expectPoll(of: device, at: again) }
      #expect(try again.stop() == 0)
    }
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A change of the key that is killed continues when it is run again`(kind: DatabaseKind) async throws {
    let url = await kind.newDatabase(in: directory)
    let (old, new) = (try keyFile(1), try keyFile(2))
    let countKeys = "SELECT count(DISTINCT substr(stored_key, 2, 8)) FROM devices"
    try await BlockingThreads.run {
      let first = try service(on: url, key: old)
      let device = try await first.newDevice(of: try await first.newOwner(), "EA")
      #expect(try first.stop() == 0)
      try addDevices(40_000, to: url, kind)
      #expect(try await seal(url, key: old).end().status == 0)
      #expect(try Database.column(url, countKeys) == ["1"])

      let killed = try seal(url, key: old, new: new)
      #expect(await killed.outputLine().contains("10000 devices were read"))
      killed.send(SIGKILL)
      #expect(await killed.end().status == -SIGKILL)
      #expect(try Database.column(url, countKeys) == ["2"])
      #expect(try await refusal(on: url, key: new).status == 2)
      try Database.checkSoundness(url)

      let again = try await seal(url, key: old, new: new).end()
      #expect(again.status == 0, "\(again.errors)")
      #expect(try Database.column(url, countKeys) == ["1"])
      #expect(try await refusal(on: url, key: old).status == 2)
      let second = try service(on: url, key: new)
      try await expectPoll(of: device, at: second)
      #expect(try second.stop() == 0)
    }
  }

  /// Adds devices with plain keys to the only client.
  private func addDevices(_ count: Int, to url: String, _ kind: DatabaseKind) throws {
    let columns =
      "INSERT INTO devices (id, client_id, device_name, hmac_key_hash, stored_key, server_key, created_at, updated_at)"
    let statement =
      switch kind {
      case .sqlite:
        """
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < \(count))
        \(columns) SELECT printf('0193dddd-0000-7000-8000-%012x', n), (SELECT id FROM clients), 'other ' || n,
          '$argon2id$' || n, randomblob(32), randomblob(32), 0, 0 FROM numbers
        """
      case .postgres:
        """
        \(columns) SELECT ('0193dddd-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, (SELECT id FROM clients),
          'other ' || n, '$argon2id$' || n, sha256(('a' || n)::bytea), sha256(('b' || n)::bytea), now(), now()
        FROM generate_series(1, \(count)) AS numbers (n)
        """
      }
    _ = try Database.column(url, statement)
  }
}
