import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A clock that is set", .timeLimit(.minutes(5)), .enabled(if: FakeClock.isUsable)) struct ClockTests {
  @Test(arguments: DatabaseKind.allCases)
  func `forward by an hour and back: no nonce counts twice, no wait is negative, and it recovers`(
    kind: DatabaseKind
  ) async throws {
    let directory = TemporaryDirectory()
    let url = await kind.newDatabase(in: directory)
    try await BlockingThreads.run {
      let clock = try FakeClock(in: directory)
      // With a skew of 5 s nonces are remembered for a short time, and healing is soon.
      let settings = clock.settings.merging(["SIGNATURE_SKEW_SECONDS": "5"]) { $1 }
      let service = try Service(on: url, logIn: directory, settings: settings)
      let owner = try await service.newOwner()
      let device = try await service.newDevice(of: owner, "EA")
      var seen = Replays(device: device, service: service)
      let token = try await device.token(of: service)
      #expect(try await seen.poll(at: 0) == 200)

      try clock.set(3600)
      #expect(try await service.status(polling: token) == 401)
      #expect(try await seen.poll(at: 0) == 401)
      #expect(try await seen.poll(at: 3600) == 200)
      // With times that are in the future once the clock is right again; one below the limit of requests in a minute.
      for _ in 1...8 { _ = try await device.token(of: service) }

      try clock.set(0)
      try await seen.expectNoneCountsAgain()
      // Not an hour later: as soon as what was forgotten is out of date.
      try await wait(for: "signed requests", upToSeconds: 60) {
        let answer = try await device.poll(of: service)
        if answer.status == 503 {
          let retry = answer.value(of: "retry-after").flatMap { Int($0) } ?? -1
          #expect((1...60).contains(retry))
        }
        return answer.status == 200
      }
      try await seen.expectNoneCountsAgain()
      // Tokens of an hour ahead do not count against those of now, and what they have left is no more than 900 s.
      let answer = try await device.askForToken(of: service)
      #expect(answer.status == 200, "\(answer.text)")
      #expect(try answer.object()["expires_in"] as? Int == 900)

      // What was signed for the hour ahead is still known when that hour comes.
      try clock.set(3600)
      try await seen.expectNoneCountsAgain()
      try clock.set(-3600)
      try await seen.expectNoneCountsAgain()
      try await wait(for: "a parked poll to end in its time", upToSeconds: 20) {
        try await service.status(polling: token, query: "?wait=1") == 200
      }
      #expect(try service.stop() == 0)
    }
  }
}

/// Signed requests that were accepted once.
private struct Replays {
  let device: FaultDevice
  let service: Service
  private var accepted: [(nonce: String, created: Int64)] = []

  init(device: FaultDevice, service: Service) {
    self.device = device
    self.service = service
  }

  /// A new request, signed by a clock that is so far ahead.
  mutating func poll(at offset: Int64) async throws -> Int {
    let (nonce, created) = (UUID().uuidString, Int64(Date().timeIntervalSince1970) + offset)
    let status = try await ask(nonce, created)
    if status == 200 { accepted.append((nonce, created)) }
    return status
  }

  func expectNoneCountsAgain() async throws {
    for (nonce, created) in accepted { #expect(try await ask(nonce, created) != 200) }
  }

  private func ask(_ nonce: String, _ created: Int64) async throws -> Int {
    try await device.ask("GET", "/api/v1/device/poll", nonce: nonce, created: created, of: service).status
  }
}

extension Service {
  /// A poll with a token.
  fileprivate func status(polling token: String, query: String = "") async throws -> Int {
    try await ask("GET", "/api/v1/device/poll\(query)", token: token).status
  }
}

/// Debian's libfaketime: the program's time of day, read from a file each time. Its monotonic clock
/// is not affected.
private struct FakeClock {
  private let path: String

  init(in directory: TemporaryDirectory) throws {
    path = "\(directory.path)/time"
    try set(0)
  }

  /// A number of seconds ahead of the right time.
  func set(_ seconds: Int) throws {
    let text = seconds < 0 ? "\(seconds)s" : "+\(seconds)s"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
  }

  var settings: [String: String] {
    [
      "LD_PRELOAD": Self.library!, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1",
      "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    ]
  }

  /// A sanitizer's runtime and faketime both have to be what the program loads first.
  static var isUsable: Bool { library != nil && !isUnderSanitizer }

  private static let library: String? = {
    let root = "/usr/lib"
    let folders = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return folders.map { "\(root)/\($0)/faketime/libfaketimeMT.so.1" }
      .first { FileManager.default.fileExists(atPath: $0) }
  }()
}
