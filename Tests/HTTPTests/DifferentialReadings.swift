import Foundation
import TestSupport
import Testing

@testable import HTTP

/// A request as a reader read it. Texts are in Latin-1: one character for each byte.
struct ReadRequest: Decodable, Equatable {
  let version: String
  let method: String
  let target: String
  /// For each line, the name in lower case, and the value without blanks around it.
  let fields: [[String]]
  let content: String
  /// The number of bytes of the connection up to the end of the request; nil where the request is incomplete.
  var end: Int?

  /// The values of a field, in the order of its lines.
  func values(of name: String) -> [String] { fields.filter { $0[0] == name }.map { $0[1] } }
}

extension ReadRequest: CustomStringConvertible {
  var description: String {
    let lines = fields.map { $0.joined(separator: ": ").debugDescription }.joined(separator: " ")
    return "\(method) \(target) HTTP/\(version) \(lines) content: \(content.debugDescription) end: \(end ?? -1)"
  }
}

/// The state of a connection when all its bytes were read.
enum ReadingEnd: String, Decodable {
  /// The reader waits for more of the request in progress, or for the next one.
  case waiting
  case refused
  /// The connection ended with the last answer.
  case closed
}

// MARK: The connection machine

/// How the connection machine reads the bytes of a connection, where each request is answered at once.
struct MachineReading {
  private(set) var requests: [ReadRequest] = []
  private(set) var end = ReadingEnd.waiting
  private(set) var refusal: Refusal?
  /// The number of bytes that were fed until the refusal.
  private(set) var bytesUntilRefusal = 0
  private var begun: RequestHead?

  /// - Parameter pieceBytes: how many bytes are fed at once.
  init(of bytes: [UInt8], by pieceBytes: Int = .max) {
    var machine = ConnectionMachine(within: .init(HTTPLimits()))
    bytes.withUnsafeBufferPointer { bytes in
      var fed = 0
      while fed < bytes.count, end == .waiting {
        let piece = bytes[fed...].prefix(pieceBytes)
        fed += piece.count
        feed(UnsafeBufferPointer(rebasing: piece), upTo: fed, &machine)
      }
    }
  }

  private mutating func feed(
    _ piece: UnsafeBufferPointer<UInt8>, upTo fed: Int, _ machine: inout ConnectionMachine
  ) {
    var rest = piece
    while end == .waiting {
      switch machine.next(&rest) {
      case .waitForInput, .waitForAnswer: return
      case .request(let head, let body):
        begun = head
        take(body, end: fed - rest.count, &machine)
      case .content(let body): take(body, end: fed - rest.count, &machine)
      case .refusal(let refusal):
        self.refusal = refusal
        refused(at: fed)
      case .close: end = .closed
      }
    }
  }

  private mutating func take(_ body: Request.Body, end place: Int, _ machine: inout ConnectionMachine) {
    switch body {
    case .complete(let content):
      requests.append(ReadRequest(begun!, content, end: place))
      if machine.endsWithAnswer { end = .closed }
      machine.answered(closes: machine.endsWithAnswer)
    case .expected: machine.tellToContinue()
    // It is answered when it is complete, like any other.
    case .tooLarge: break
    case .lost: refused(at: place)
    }
  }

  private mutating func refused(at place: Int) {
    end = .refused
    bytesUntilRefusal = place
  }
}

extension MachineReading: CustomStringConvertible {
  var description: String { "\(requests), \(end)\(refusal.map { ": \($0)" } ?? "")" }
}

extension ReadRequest {
  fileprivate init(_ head: RequestHead, _ content: [UInt8], end: Int) {
    version = head.isVersion10 ? "1.0" : "1.1"
    method = head.method
    target = head.target
    var fields: [[String]] = []
    head.fields.forEach { name, value in
      let (name, value) = (String(latin1: name), String(latin1: value))
      // h11 changes the value of this one to lower case.
      fields.append([name, name == "transfer-encoding" ? value.lowercased() : value])
    }
    self.fields = fields
    self.content = String(latin1: content)
    self.end = end
  }
}

extension String {
  /// One character for each byte.
  init(latin1 bytes: some Sequence<UInt8>) {
    self.init(String.UnicodeScalarView(bytes.lazy.map { Unicode.Scalar($0) }))
  }
}

// MARK: h11

/// How h11 reads the bytes of a connection, as `h11_reader.py` prints it.
struct H11Reading: Decodable {
  let requests: [ReadRequest]
  /// The request that is incomplete; nil where its header section is.
  let begun: ReadRequest?
  let end: ReadingEnd
  /// Why h11 refuses the request, or would refuse it if the line or section that it waits for ended here.
  let objection: String?

  /// Reads each connection, all of them in one process.
  static func of(_ connections: [[UInt8]]) async throws -> [H11Reading] {
    let directory = TemporaryDirectory()
    let file = directory.path + "/connections"
    let lines = connections.map { Data($0).base64EncodedString() + "\n" }
    try Data(lines.joined().utf8).write(to: URL(filePath: file))
    let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "h11_reader.py")
    let result = try await Program.run([script.path, file], executable: "/usr/bin/python3")
    try #require(result.status == 0, "\(result.errors)")
    let decoder = JSONDecoder()
    let readings = try result.output.utf8.split(separator: UInt8(ascii: "\n")).map {
      try decoder.decode(H11Reading.self, from: Data($0))
    }
    try #require(readings.count == connections.count)
    return readings
  }
}

extension H11Reading: CustomStringConvertible {
  var description: String {
    "\(requests), \(end)\(begun.map { ", begun: \($0)" } ?? "")\(objection.map { ", objection: \($0)" } ?? "")"
  }
}
