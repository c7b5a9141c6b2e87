import Foundation

/// An answer as it came over the wire.
public struct HTTPAnswer: Sendable {
  public let status: Int
  /// Names in lower case and values, in their order.
  public let fields: [(name: String, value: String)]
  /// The content, without the framing.
  public let body: [UInt8]

  public init(status: Int, fields: [(name: String, value: String)], body: [UInt8]) {
    self.status = status
    self.fields = fields
    self.body = body
  }

  /// The value of a field; nil where it is absent. Several lines are joined with `, `.
  public func value(of name: String) -> String? {
    let values = fields.filter { $0.name == name.lowercased() }.map(\.value)
    return values.isEmpty ? nil : values.joined(separator: ", ")
  }

  public var text: String { String(decoding: body, as: UTF8.self) }

  /// The body as JSON.
  public func json() throws -> Any {
    try JSONSerialization.jsonObject(with: Data(body), options: [.fragmentsAllowed])
  }

  /// The members of the JSON object that the body is.
  public func object() throws -> [String: Any] {
    guard let object = try json() as? [String: Any] else { throw HTTPClientError("not a JSON object: \(text)") }
    return object
  }

  /// The objects of the JSON array that the body is.
  public func array() throws -> [[String: Any]] {
    guard let array = try json() as? [[String: Any]] else { throw HTTPClientError("not a JSON array: \(text)") }
    return array
  }

  /// A string member of the JSON object that the body is; nil where it is absent or null.
  public func string(_ member: String) throws -> String? { try object()[member] as? String }

  /// Reads one answer and how many bytes it had; nil while there is more to come.
  static func parse(_ bytes: [UInt8], isHead: Bool, isOver: Bool) throws -> (HTTPAnswer, length: Int)? {
    let separator = Array("\r\n\r\n".utf8)
    guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: separator) }) else { return nil }
    let lines = String(decoding: bytes[..<end], as: UTF8.self).components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ")
    guard words.count >= 2, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
      throw HTTPClientError("not a status line: \(lines[0])")
    }
    let fields = try lines.dropFirst().map { line in
      guard let colon = line.firstIndex(of: ":") else { throw HTTPClientError("not a field: \(line)") }
      return (
        name: line[..<colon].lowercased(),
        value: line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      )
    }
    func answer(_ body: [UInt8]) -> HTTPAnswer { HTTPAnswer(status: status, fields: fields, body: body) }
    func value(of name: String) -> String? { fields.first { $0.name == name }?.value }

    let start = end + separator.count
    if isHead || status == 204 || status == 304 || status < 200 { return (answer([]), start) }
    if value(of: "transfer-encoding") == "chunked" {
      return try unchunk(bytes[start...]).map { (answer($0.body), $0.end) }
    }
    if let length = value(of: "content-length") {
      guard let length = Int(length) else { throw HTTPClientError("not a length: \(length)") }
      return bytes.count >= start + length
        ? (answer(Array(bytes[start..<start + length])), start + length) : nil
    }
    return isOver ? (answer(Array(bytes[start...])), bytes.count) : nil
  }

  /// RFC 9112, section 7.1; nil while there is more to come. Trailers are not expected.
  private static func unchunk(_ bytes: ArraySlice<UInt8>) throws -> (body: [UInt8], end: Int)? {
    var body: [UInt8] = []
    var rest = bytes
    while let lineEnd = rest.firstIndex(of: UInt8(ascii: "\r")) {
      guard let size = Int(String(decoding: rest[..<lineEnd], as: UTF8.self), radix: 16) else {
        throw HTTPClientError("not the size of a chunk")
      }
      let start = lineEnd + 2
      guard bytes.endIndex >= start + size + 2 else { return nil }
      body += bytes[start..<start + size]
      rest = bytes[(start + size + 2)...]
      if size == 0 { return (body, rest.startIndex) }
    }
    return nil
  }
}
