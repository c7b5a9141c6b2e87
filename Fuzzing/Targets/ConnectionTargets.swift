import Glibc

@testable import HTTP

// The bytes of a connection before authentication: requests, and TLS records.

/// The bytes of a connection. The first byte says where they are cut.
func feedConnection(_ input: [UInt8]) {
  guard let first = input.first else { return }
  let bytes = Array(input.dropFirst())
  let whole = Reading(of: [bytes])
  let place = min(Int(first), bytes.count)
  demand(Reading(of: [Array(bytes[..<place]), Array(bytes[place...])]) == whole, "cutting in two matters")
  demand(Reading(of: bytes.map { [$0] }) == whole, "cutting at each byte matters")

  // A request before the input is read first, and does not change how the input is read.
  let before = Reading(of: [Array("POST /before HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".utf8)])
  let both = Reading(of: [before.consumed + bytes])
  demand(both.requests.first == before.requests.first, "the first request is another")
  demand(Array(both.requests.dropFirst()) == whole.requests, "a request before it matters")
  demand(both.isRefused == whole.isRefused, "a request before it matters to the refusal")
}

/// The events of a machine on bytes.
private struct Reading: Equatable {
  struct Request: Equatable {
    let method: String
    let target: String
    let fields: [[String]]
    var body: HTTP.Request.Body
  }

  private(set) var requests: [Request] = []
  private(set) var isRefused = false
  private(set) var isClosed = false
  /// All bytes that were fed.
  let consumed: [UInt8]

  init(of pieces: [[UInt8]]) {
    consumed = pieces.flatMap(\.self)
    var machine = ConnectionMachine(within: .init(HTTPLimits()))
    for piece in pieces {
      piece.withUnsafeBufferPointer { read(&machine, $0) }
    }
    demand(!machine.hasReadable, "bytes are kept although every request was answered")
    // If the content arrives together with the header section, a request is passed on only when it is complete.
    if case .expected = requests.last?.body { requests.removeLast() }
  }

  private mutating func read(_ machine: inout ConnectionMachine, _ bytes: UnsafeBufferPointer<UInt8>) {
    var rest = bytes
    // Each event except the last consumes a byte, or ends the reading.
    for _ in 0...(2 * bytes.count + 2) {
      let left = rest.count
      let event = machine.next(&rest)
      demand(rest.count <= left, "bytes come back")
      switch event {
      case .waitForInput:
        demand(rest.isEmpty, "input is left")
        return
      case .waitForAnswer: fatalError("an answer is waited for that was given")
      case .request(let head, let body): take(head, body, &machine)
      case .content(.lost):
        requests.removeLast()
        isRefused = true
        machine.answered(closes: machine.endsWithAnswer)
      case .content(let body):
        requests[requests.count - 1].body = body
        machine.answered(closes: machine.endsWithAnswer)
      case .refusal:
        demand(!isRefused, "a second refusal")
        isRefused = true
        demand(machine.endsWithAnswer, "a refusal that does not end the connection")
        machine.answered(closes: true)
      case .close:
        isClosed = true
        return
      }
    }
    fatalError("the reading does not end")
  }

  private mutating func take(_ head: RequestHead, _ body: HTTP.Request.Body, _ machine: inout ConnectionMachine)
  {
    demand(!isRefused, "a request after a refusal")
    let fields = head.fields
    let lengths = fields.values(of: "content-length" as StaticString)
    let codings = fields.values(of: "transfer-encoding" as StaticString)
    demand(lengths.count + codings.count <= 1, "two readers could disagree on where the request ends")
    demand(codings.allSatisfy { $0.lowercased() == "chunked" }, "a coding that is not supported")
    demand(fields.values(of: "host" as StaticString).count <= 1, "two hosts")
    demand(head.isVersion10 || fields.contains("host"), "no host")
    demand(lengths.isEmpty == (head.contentLength == nil), "a length that is not read")
    demand(
      head.originForm.utf8.first == UInt8(ascii: "/") || head.originForm == "*", "a target that is no path")
    if case .complete(let content) = body {
      demand(head.isChunked || content.count == Int(head.contentLength ?? 0), "content of another length")
    }
    var lines: [[String]] = []
    fields.forEach { name, value in
      demand(
        !name.isEmpty && !(Array(name) + Array(value)).contains { $0 < 0x20 && $0 != 9 || $0 == 0x7F },
        "a control character")
      lines.append([String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)])
    }
    testReading(of: head)
    requests.append(Request(method: head.method, target: head.originForm, fields: lines, body: body))
    if case .expected = body {
      // The answer comes when the content is here.
      machine.tellToContinue()
    } else {
      machine.answered(closes: machine.endsWithAnswer)
    }
  }
}

/// TLS records from an unauthenticated client. The first byte says where they are cut.
func feedTLSRecords(_ input: [UInt8]) {
  guard let first = input.first else { return }
  let bytes = Array(input.dropFirst())
  let place = min(Int(first), bytes.count)
  let whole = tlsProgress(of: [bytes])
  demand(tlsProgress(of: [Array(bytes[..<place]), Array(bytes[place...])]) == whole, "cutting matters")
}

private func tlsProgress(of pieces: [[UInt8]]) -> TLSSession.Progress {
  let records = ByteBuffer()
  guard let session = TLSSession(showing: identity, records: records) else { fatalError("no session") }
  let plain = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: TLSSession.maximumRecordBytes)
  defer { plain.deallocate() }
  var progress = TLSSession.Progress.waiting
  for piece in pieces where progress == .waiting {
    progress = piece.withUnsafeBufferPointer {
      session.read($0, into: plain) { _ in fatalError("plain bytes without a handshake") }
    }
  }
  demand(!session.isOpen, "a handshake that nobody made")
  return progress
}

/// The certificate and key that scripts/fuzz.sh makes.
private let identity: TLSIdentity = {
  func file(_ name: String) -> [UInt8] {
    guard let path = getenv(name), let file = fopen(path, "r") else { fatalError("\(name) names no file") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }
  do { return try TLSIdentity(certificate: file("FUZZ_CERTIFICATE"), privateKey: file("FUZZ_KEY")) } catch {
    fatalError("\(error)")
  }
}()
