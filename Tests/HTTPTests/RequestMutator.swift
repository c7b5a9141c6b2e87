import TestSupport

/// Makes what clients might send: valid and invalid requests with a few changes. The same for the same seed.
struct RequestMutator {
  private var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// What a client sends on one connection.
  mutating func next() -> [UInt8] {
    var bytes = base()
    repeat { change(&bytes) } while Int.random(in: 0..<3, using: &random) == 0
    return bytes
  }

  private mutating func base() -> [UInt8] {
    let bases = [Self.realistic, Self.accepted, Self.realistic, Self.accepted, Self.refused]
    return bases.randomElement(using: &random)!.randomElement(using: &random)!
  }

  // MARK: Changes

  private mutating func change(_ bytes: inout [UInt8]) {
    switch Int.random(in: 0..<11, using: &random) {
    case 0: flip(&bytes)
    case 1: delete(from: &bytes)
    case 2: insert(Self.bytes, into: &bytes, at: place(in: bytes))
    case 3: replace(in: &bytes)
    case 4: insert(Self.fragments, into: &bytes, at: place(in: bytes))
    case 5, 6: insert(Self.lines, into: &bytes, at: lineStart(in: bytes))
    case 7: duplicateLine(of: &bytes)
    case 8: swapLines(of: &bytes)
    case 9: bytes += base()
    default: splice(&bytes)
    }
  }

  private mutating func flip(_ bytes: inout [UInt8]) {
    guard let index = bytes.indices.randomElement(using: &random) else { return }
    bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
  }

  private mutating func delete(from bytes: inout [UInt8]) {
    let start = place(in: bytes)
    let count = Bool.random(using: &random) ? 1 : Int.random(in: 1...20, using: &random)
    bytes.removeSubrange(start..<min(start + count, bytes.count))
  }

  private mutating func replace(in bytes: inout [UInt8]) {
    guard let index = bytes.indices.randomElement(using: &random) else { return }
    bytes.replaceSubrange(index...index, with: Self.bytes.randomElement(using: &random)!)
  }

  private mutating func insert(_ pieces: [[UInt8]], into bytes: inout [UInt8], at place: Int) {
    bytes.insert(contentsOf: pieces.randomElement(using: &random)!, at: place)
  }

  private mutating func duplicateLine(of bytes: inout [UInt8]) {
    changeLines(of: &bytes) { lines, random in
      let index = lines.indices.randomElement(using: &random)!
      lines.insert(lines[index], at: lines.indices.randomElement(using: &random)!)
    }
  }

  private mutating func swapLines(of bytes: inout [UInt8]) {
    changeLines(of: &bytes) { lines, random in
      lines.swapAt(
        lines.indices.randomElement(using: &random)!, lines.indices.randomElement(using: &random)!)
    }
  }

  /// Replaces the end with the end of another request.
  private mutating func splice(_ bytes: inout [UInt8]) {
    let other = base()
    bytes.removeSubrange(place(in: bytes)...)
    bytes += other[place(in: other)...]
  }

  // MARK: Places

  private mutating func place(in bytes: [UInt8]) -> Int { Int.random(in: 0...bytes.count, using: &random) }

  private mutating func lineStart(in bytes: [UInt8]) -> Int {
    let starts = [0] + bytes.indices.filter { bytes[$0] == UInt8(ascii: "\n") }.map { $0 + 1 }
    return starts.randomElement(using: &random)!
  }

  private mutating func changeLines(
    of bytes: inout [UInt8], by change: (inout [ArraySlice<UInt8>], inout SeededGenerator) -> Void
  ) {
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    change(&lines, &random)
    bytes = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
  }
}

// MARK: Requests that are changed

extension RequestMutator {
  private static let accepted = ConnectionMachineTests.accepted.map { withNext($0.0) }
  private static let refused = ConnectionMachineTests.refused.map { withNext($0.0) }

  /// The request, and another one after it.
  private static func withNext(_ request: String) -> [UInt8] {
    Array((request + "GET /next HTTP/1.1\r\nHost: a\r\n\r\n").utf8)
  }

  private static let realistic = [
    poll, acknowledgement, chunked, poll + acknowledgement, chunked + poll, old, rare,
  ]
  .map { Array($0.utf8) }

  private static let poll =
    "GET /api/v1/device/poll?wait=20&max=10 HTTP/1.1\r\nHost: registry.example:8000\r\nUser-Agent: terminal/5.0\r\n"
    + "Accept: application/json\r\nSignature-Input: sig1=(\"@method\" \"@path\" \"@query\");created=1893456000;"
    + "keyid=\"b9b5a6d3-3f7e-4b2c-894b-9025cda5e6de\";nonce=\"aazykUWRfKKcR9INCHJCGG\"\r\n"
    + "Signature: sig1=:/d23g+LHyBV3LtA6MWd+x0KEDdl2cdW8395TTMl7UCU=:\r\n\r\n"

  private static let acknowledgement =
    "POST /api/v1/device/ack HTTP/1.1\r\nHost: registry.example\r\nContent-Type: application/json\r\n"
    + "Content-Digest: sha-256=:6ziwQNDQkiClGcunIdNt/NdE1Gu+EFhMclUjKiYQw64=:\r\nContent-Length: 35\r\n"
    + "Connection: keep-alive\r\n\r\n{\"acks\":[{\"signal_id\":\"0190a5c2\"}]}"

  private static let chunked =
    "PUT /api/v1/clients/1 HTTP/1.1\r\nHost: registry.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
    + "Expect: 100-continue\r\n\r\n5;a;b=c\r\n{\"a\":\r\n00a;d=\"e f\"\r\n\"01234567\"\r\n1\r\n}\r\n"
    + "0;last\r\nX-Sum: 1\r\nX-Other:\t2 \r\n\r\n"

  private static let old =
    "GET /health HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    + "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"

  private static let rare =
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:8000\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n"
    + "HEAD http://a/b?c HTTP/1.1\r\nHost: a\r\nConnection: x\r\n\r\n"
    + "DELETE /api/v1/devices/2 HTTP/1.1\r\nHost: a\r\nConnection: TE, close\r\nTE: trailers\r\n\r\n"

  // MARK: What is inserted

  private static let bytes: [[UInt8]] =
    Array("\r\n\0 \t:;,=\"'()/?#%*@\\<{|+-.0159aAFfGxX~".utf8).map { [$0] }
    + [0x01, 0x0B, 0x0C, 0x1C, 0x7F, 0x80, 0x85, 0xA0, 0xFF].map { [$0] }

  private static let fragments: [[UInt8]] = [
    "\r\n", "\r\n\r\n", "\n\n", "\r\r\n", "\r\n ", "\r\n\t", "  ", " ,", ", ", "5, 5", "0x",
    "00000000000000000000",
    "18446744073709551615", "ffffffffffffffff", "chunked", "chunked, ", "gzip, ", "close", "keep-alive",
    "HTTP/1.0",
    "HTTP/1.1", "http://a", "https://", "GET ", " HTTP/1.1\r\n", ";a=b", ";a=\"\\\"\"", ";", "\"", " ;",
    "GET / HTTP/1.1",
    "Host", "Host:", "Content-Length", "X: ",
  ].map { Array($0.utf8) }

  private static let lines: [[UInt8]] = [
    "\r\n", "\n", " \r\n", " folded\r\n", "\tfolded\r\n", ":\r\n", "X\r\n", "X:\r\n", "X: y\n", "X : y\r\n",
    "X: y\r\r\n",
    "Host: b\r\n", "Host:\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Content-Length: 1, 1\r\n",
    "content-length:+5\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: Chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding:\r\n",
    "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: upgrade\r\n",
    "Connection: a , close\t\r\n",
    "Upgrade: websocket\r\n", "Proxy-Connection: close\r\n", "Expect: 100-continue\r\n", "TE: trailers\r\n",
    "0\r\n", "0\r\n\r\n", "5\r\nabcde\r\n",
    "5;a=b\r\nabcde\r\n", "5 \r\nabcde\r\n", "A\n0123456789\n", "1\r\na", "000\r\n\r\n", "GET /b HTTP/1.1\r\n",
    "GET /b HTTP/1.1\r\nHost: b\r\n\r\n", "POST /c HTTP/1.1\r\nHost: c\r\nContent-Length: 5\r\n\r\n",
    "POST /d HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
  ].map { Array($0.utf8) }
}
