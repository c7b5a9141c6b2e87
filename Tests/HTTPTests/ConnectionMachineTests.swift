import TestSupport
import Testing

@testable import HTTP

@Suite("The connection machine") struct ConnectionMachineTests {
  @Test(arguments: Self.refused)
  func `refuses what is not HTTP, however it is cut`(request: String, refusal: Refusal) {
    let bytes = Array(request.utf8)
    let expected = ["refused: \(refusal)"]
    // What follows is never looked at.
    #expect(Transcript.of(bytes + Array(Self.next.utf8)).lines == expected, "\(request)")
    Self.expectSame(bytes, expected)
  }

  @Test(arguments: Self.accepted)
  func `reads what is proper, however it is cut`(request: String, lines: [String]) {
    let bytes = Array(request.utf8)
    Self.expectSame(bytes, lines)
    // Two requests in a row never change places, and no byte is in both.
    Self.expectSame(
      Array(Self.next.utf8) + bytes + Array(Self.next.utf8), ["GET /next"] + lines + ["GET /next"])
  }

  @Test
  func `reads bytes that are not UTF-8 where they may be`() {
    Self.expectSame(
      Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + [0xE9] + Array("\r\n\r\n".utf8), ["GET / x=1 byte"])
    Self.expectSame(
      Array("GET /".utf8) + [0xE9] + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8), ["refused: invalidTarget"])
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", true),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", true), ("GET / HTTP/1.0\r\n\r\n", true),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: \tclose\t\r\n\r\n", true),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: ,close\t ,x\r\n\r\n", true),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n", true),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, x close, keep-alive\r\n\r\n", false),
    ("GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n", false),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\t\r\n\r\n", false),
    ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", true),
    ("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", true),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", false),
  ])
  func `says whether the connection stays open`(request: String, ends: Bool) {
    let transcript = Transcript.of(Array((request + Self.next).utf8))
    #expect(transcript.lines == ["GET /"] + (ends ? [] : ["GET /next"]))
    #expect(transcript.isClosing == ends)
  }

  // MARK: Bounds

  @Test(arguments: [0, 1])
  func `takes as large a header as may be, and one byte more is refused`(more: Int) {
    let limits = HTTPLimits()
    let padding = limits.maximumHeaderBytes - "/".utf8.count - "Host: a\r\nX: \r\n".utf8.count + more
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: padding))\r\n\r\n"
    let lines = more == 0 ? ["GET / x=\(padding) bytes"] : ["refused: headerTooLarge"]
    for size in [1, 1000, 100_000] { #expect(Transcript.of(Array(request.utf8), by: size).lines == lines) }
  }

  @Test(arguments: [0, 1])
  func `takes as many lines as may be, and one more is refused`(more: Int) {
    let fields = String(repeating: "X: y\r\n", count: HTTPLimits().maximumFieldLines - 1 + more)
    let lines = more == 0 ? ["GET / x=\(63 * 3 - 2) bytes"] : ["refused: headerTooLarge"]
    #expect(Transcript.of(Array("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n".utf8)).lines == lines)
  }

  @Test(arguments: [0, 1], [false, true])
  func `takes as much content as may be, and one byte more is too large`(more: Int, isChunked: Bool) {
    let count = HTTPLimits().maximumBodyBytes + more
    let content = String(repeating: "x", count: count)
    let request =
      isChunked
      ? "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(String(count, radix: 16))\r\n\(content)\r\n0\r\n\r\n"
      : "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(count)\r\n\r\n\(content)"
    for size in [1000, 200_000] {
      let lines = Transcript.of(Array((request + Self.next).utf8), by: size).lines
      // What is too large is answered at once, and read to its end all the same.
      #expect(lines == ["POST / \(more == 0 ? "content=\(count) bytes" : "content too large")", "GET /next"])
    }
  }

  @Test
  func `an announced length above the discard limit ends the connection`() {
    let transcript = Transcript.of(
      Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\nx".utf8))
    #expect(transcript.lines == ["POST / content too large"])
    #expect(transcript.isClosing)
  }

  @Test
  func `content without an end is answered, and cut off`() {
    let chunk = Array("10000\r\n\(String(repeating: "x", count: 0x10000))\r\n".utf8)
    var transcript = Transcript.of(
      Array("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".utf8))
    for _ in 0..<16 { transcript.feed(chunk) }
    #expect(transcript.lines == ["POST / content too large"])
    #expect(transcript.machine.isClosing && !transcript.machine.isFull)
    // Some more is discarded, so that the client sees the end; then nothing is read.
    for _ in 0..<16 { transcript.feed(chunk) }
    #expect(transcript.machine.isFull)
    #expect(transcript.lines.count == 1)
  }

  @Test(arguments: ["", "5;", "5;a=\""])
  func `chunk lines and extensions are bounded`(beginning: String) {
    let padding = String(repeating: beginning.isEmpty ? "0" : "a", count: 22_000)
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(beginning)\(padding)"
    for size in [1, 1000, 100_000] {
      #expect(Transcript.of(Array(request.utf8), by: size).lines == ["refused: invalidChunk"])
    }
  }

  @Test
  func `small chunks are taken, and large trailer sections are not`() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    let chunks = String(repeating: "1\r\nx\r\n", count: 10_000)
    #expect(Transcript.of(Array("\(head)\(chunks)0\r\n\r\n".utf8)).lines == ["POST / content=10000 bytes"])
    let line = "X: \(String(repeating: "y", count: 300))\r\n"
    for count in [60, 65] {
      let trailers = String(repeating: line, count: count)
      #expect(Transcript.of(Array("\(head)0\r\n\(trailers)\r\n".utf8)).lines == ["refused: headerTooLarge"])
    }
  }

  @Test
  func `input after a request in progress is kept up to the limit, because the driver stops reading`() {
    var machine = ConnectionMachine(within: .init(HTTPLimits()))
    let more = [UInt8](repeating: 120, count: HTTPLimits().maximumPipelinedBytes)
    more.withUnsafeBufferPointer { machine.keep(UnsafeBufferPointer(rebasing: $0.dropLast())) }
    #expect(!machine.isFull)
    more.withUnsafeBufferPointer { machine.keep(UnsafeBufferPointer(rebasing: $0.prefix(1))) }
    #expect(machine.isFull)
    #expect(machine.takeKept().count == more.count)
    #expect(!machine.hasReadable)
  }

  // MARK: Content that is waited for

  private static let expecting =
    "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"

  @Test
  func `returns a request before its content if the client waits for 100`() {
    var transcript = Transcript(answersAtOnce: false)
    transcript.feed(Array(Self.expecting.utf8))
    #expect(transcript.lines == ["POST /e content expected"])
    transcript.machine.tellToContinue()
    #expect(transcript.machine.isReceiving)
    transcript.feed(Array("abc".utf8))
    #expect(transcript.lines.last == "content=3 bytes")
    #expect(!transcript.machine.endsWithAnswer)
    transcript.answer()
    transcript.feed(Array(Self.next.utf8))
    #expect(transcript.lines.last == "GET /next")
  }

  @Test
  func `ends the connection if the answer is made before 100 was sent`() {
    var transcript = Transcript(answersAtOnce: false)
    transcript.feed(Array(Self.expecting.utf8))
    #expect(transcript.machine.endsWithAnswer)
    transcript.answer()
    transcript.feed(Array(("abc" + Self.next).utf8))
    #expect(transcript.lines == ["POST /e content expected"])
  }

  @Test
  func `does not wait where the content comes along, or HTTP/1.0 knows no waiting`() {
    #expect(Transcript.of(Array((Self.expecting + "abc").utf8)).lines == ["POST /e content=3 bytes"])
    let old = Self.expecting.replacing("HTTP/1.1", with: "HTTP/1.0")
    #expect(Transcript.of(Array((old + "abc").utf8), by: 1).lines == ["POST /e content=3 bytes"])
  }

  @Test
  func `content that breaks off, or takes too long, is lost to the handler that waits for it`() {
    let head = "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    for broken in ["x\r\n", ""] {
      var transcript = Transcript(answersAtOnce: false)
      transcript.feed(Array(head.utf8))
      transcript.machine.tellToContinue()
      transcript.feed(Array(broken.utf8))
      if broken.isEmpty { transcript.take(transcript.machine.refuse(.timedOut)) }
      #expect(transcript.lines == ["POST /e content expected", "content lost"])
      #expect(transcript.machine.endsWithAnswer)
    }
  }

  // MARK: Time

  @Test
  func `what has come of a request is refused when its time is over; empty lines are no request`() {
    for (bytes, line) in [("GET / HT", "refused: timedOut"), ("\r\n", "closed"), ("", "closed")] {
      var transcript = Transcript.of(Array(bytes.utf8))
      transcript.take(transcript.machine.refuse(.timedOut))
      #expect(transcript.lines == [line])
    }
  }

  private static let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

  /// Whole, byte by byte, and cut in two at each byte.
  private static func expectSame(_ bytes: [UInt8], _ lines: [String]) {
    #expect(Transcript.of(bytes).lines == lines)
    #expect(Transcript.of(bytes, by: 1).lines == lines)
    for place in bytes.indices.dropFirst() {
      var transcript = Transcript()
      transcript.feed(Array(bytes[..<place]))
      transcript.feed(Array(bytes[place...]))
      guard transcript.lines == lines else {
        Issue.record(
          "cut at \(place) of \(String(decoding: bytes, as: UTF8.self).debugDescription): \(transcript.lines)")
        return
      }
    }
  }
}

/// What a machine makes of bytes, in words.
struct Transcript {
  var machine = ConnectionMachine(within: .init(HTTPLimits()))
  private(set) var lines: [String] = []
  private(set) var isClosing = false
  private let answersAtOnce: Bool

  init(answersAtOnce: Bool = true) { self.answersAtOnce = answersAtOnce }

  /// For bytes in pieces of this size.
  static func of(_ bytes: [UInt8], by size: Int = .max) -> Transcript {
    var transcript = Transcript()
    var rest = bytes[...]
    while !rest.isEmpty {
      transcript.feed(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
    return transcript
  }

  mutating func feed(_ bytes: [UInt8]) {
    bytes.withUnsafeBufferPointer { bytes in
      var rest = bytes
      while true {
        let event = machine.next(&rest)
        switch event {
        case .waitForInput, .close:
          take(event)
          return
        case .waitForAnswer:
          machine.keep(rest)
          return
        default: take(event)
        }
      }
    }
  }

  mutating func take(_ event: ConnectionMachine.Event) {
    switch event {
    case .request(let head, let body):
      lines.append(
        "\(head.method) \(head.originForm)\(Self.fields(head))\(Self.words(body).map { " " + $0 } ?? "")")
      if answersAtOnce { answer() }
    case .content(let body): lines.append(Self.words(body) ?? "no content")
    case .refusal(let refusal):
      lines.append("refused: \(refusal)")
      answer()
    case .close: lines.append("closed")
    case .waitForInput, .waitForAnswer: break
    }
  }

  mutating func answer() {
    isClosing = machine.endsWithAnswer
    machine.answered(closes: isClosing)
  }

  /// The field X, and nothing of the others.
  private static func fields(_ head: RequestHead) -> String {
    head.fields.combinedValue(of: "x").map { " x=\(bytes($0.count))" } ?? ""
  }

  private static func words(_ body: Request.Body) -> String? {
    switch body {
    case .complete(let content): content.isEmpty ? nil : "content=\(bytes(content.count))"
    case .tooLarge: "content too large"
    case .expected: "content expected"
    case .lost: "content lost"
    }
  }

  private static func bytes(_ count: Int) -> String { "\(count) byte\(count == 1 ? "" : "s")" }
}
