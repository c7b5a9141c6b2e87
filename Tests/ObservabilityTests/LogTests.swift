import Foundation
import Glibc
@testable import Observability
import TestSupport
import Testing

/// The text that the log writes.
@Suite struct Logs {
  private let directory = TemporaryDirectory()

  /// The lines that `body` logs.
  private func lines(
    _ level: Logger.Level = .info, _ format: Logger.Format = .json, _ body: (Logger) -> Void
  ) throws -> [String] {
    let path = "\(directory.path)/\(UUID().uuidString)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    let logger = Logger(level: level, format: format, descriptor: descriptor)
    body(logger)
    logger.close()
    close(descriptor)
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  private func object(_ line: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
  }

  @Test func `A line is one JSON object, whatever its values are`() throws {
    let text = "a \"quoted\" \\ line\nof text,\u{7F} \u{01} with ö and 🙂"
    let all = try lines { logger in
      logger.log(.info, "first", ["text": text])
      logger.log(.error, "second") { line in
        line.add("status", -200)
        line.add("duration_ms", thousandths: 1_042)
        line.add("short_ms", thousandths: 7)
      }
    }
    #expect(all.count == 2)
    let first = try object(all[0])
    #expect(first["text"] as? String == text)
    #expect(first["event"] as? String == "first" && first["level"] as? String == "info")
    let time = try #require(first["time"] as? String)
    #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
    let date = try Date(String(time.prefix(19)) + "Z", strategy: .iso8601)
    #expect(abs(date.timeIntervalSinceNow) < 600)
    #expect(all[1].hasSuffix(#""event":"second","status":-200,"duration_ms":1.042,"short_ms":0.007}"#))
  }

  @Test func `A line for people has the same in short`() throws {
    let all = try lines(.info, .text) { logger in
      logger.log(.warning, "not reached", ["cause": "no \"route\""])
      logger.log(.info, "request") { $0.add("status", 404) }
    }
    #expect(all.count == 2)
    #expect(all[0].contains(/^\d\d:\d\d:\d\d\.\d{3} warning not reached cause="no \\"route\\""$/))
    #expect(all[1].hasSuffix(" info request status=404"))
  }

  @Test func `Below the log's level nothing is written, not even its values`() throws {
    var written = 0
    let all = try lines(.notice) { logger in
      for level in Logger.Level.allCases { logger.log(level, "event") { _ in written += 1 } }
    }
    #expect(written == 3)
    #expect(try all.map { try object($0)["level"] as? String } == ["notice", "warning", "error"])
  }

  @Test func `Lines that nobody reads are dropped, counted, and told of`() async throws {
    var descriptors: [Int32] = [0, 0]
    try #require(pipe(&descriptors) == 0)
    let logger = Logger(level: .info, format: .json, descriptor: descriptors[1])
    let text = String(repeating: "x", count: 8192)
    let rounds = 4 * Logger.maximumQueuedBytes / text.utf8.count
    for _ in 0..<rounds { logger.log(.info, "much", ["text": text]) }
    #expect(logger.droppedLines > rounds / 4)
    #expect((1...Logger.maximumQueuedBytes).contains(logger.queuedBytes))

    let reader = descriptors[0]
    let read = await withCheckedContinuation { continuation in
      Thread.detachNewThread { continuation.resume(returning: Self.read(reader, until: "log lines dropped")) }
    }
    let told = read.split(separator: "\n").filter { $0.contains("log lines dropped") }
    #expect(try told.map { try object(String($0))["count"] as? Int } == [logger.droppedLines])
    logger.close()
    for descriptor in descriptors { close(descriptor) }
  }

  /// Reads up to the end of the line that has the text in it; gives up after half a minute of silence.
  private static func read(_ descriptor: Int32, until text: String) -> String {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 * 1024)
    var readiness = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while poll(&readiness, 1, 30_000) == 1, case let count = Glibc.read(descriptor, &piece, piece.count),
      count > 0
    {
      bytes += piece[..<count]
      // The line in question comes last.
      if piece[count - 1] == UInt8(ascii: "\n"),
        String(decoding: bytes.suffix(1024), as: UTF8.self).contains(text)
      {
        break
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func `A second has a maximum of lines of a kind, and the next reports how many were left out`() {
    let budget = LineBudget(linesPerSecond: 3)
    let admitted = (0..<10).map { _ in budget.admit(atSecond: 7) }
    #expect(admitted.map(\.isAdmitted) == [true, true, true] + Array(repeating: false, count: 7))
    #expect(admitted.allSatisfy { $0.omitted == 0 })
    #expect(budget.admit(atSecond: 8) == (true, 7))
    #expect(budget.admit(atSecond: 8) == (true, 0))
    #expect(budget.omittedLines == 7)
  }
}
