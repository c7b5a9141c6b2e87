internal import Encoding

/// A request's line and header section, read from bytes whose end llhttp has found.
///
/// If two readers disagree on where a request ends, an attacker can smuggle one request inside another. So this reads
/// the whole head again, and refuses what RFC 9112 leaves to servers: a missing or second `Host`, transfer codings
/// other than `chunked`, a coding with HTTP/1.0, foreign targets, folded lines.
package final class RequestHead: Sendable {
  package let method: String
  /// As it was received.
  package let target: String
  /// The path and the query of the target; `*` for OPTIONS with that target.
  package let originForm: String
  /// Bytes of the path.
  private let pathLength: Int
  package let fields: HeaderFields
  /// The value of `Content-Length`; nil without the field.
  package let contentLength: UInt64?
  package let isChunked: Bool
  let isVersion10: Bool
  /// Whether the connection may be used for another request (RFC 9112, section 9.3).
  let keepsConnection: Bool
  /// Whether the client waits for 100 before it sends the content (RFC 9110, section 10.1.1).
  let expectsContinue: Bool
  /// The value of `X-Request-Id`, if it may be repeated in the answer and in the log.
  let requestID: String?

  /// Bytes of a head in addition to the target and the field lines: the method, the version, blanks and line ends.
  static let maximumBytesBesides = 64

  /// - Parameter bytes: up to and including the empty line.
  package init(_ bytes: consuming [UInt8], limits: HTTPLimits) throws(Refusal) {
    let line = try RequestLine(bytes)
    guard bytes.count - line.end - 2 + line.target.utf8.count <= limits.maximumHeaderBytes else {
      throw .headerTooLarge
    }
    (method, target, isVersion10) = (line.method, line.target, line.isVersion10)
    let fields = try HeaderFields(consume bytes, from: line.end, maximumLines: limits.maximumFieldLines)
    self.fields = fields
    let framing = try Framing(fields, isVersion10: isVersion10)
    contentLength = framing.contentLength
    isChunked = framing.isChunked
    keepsConnection = framing.keepsConnection(isVersion10: isVersion10)
    expectsContinue = framing.expectsContinue && !isVersion10
    requestID = framing.requestIDs == 1 ? framing.requestID : nil
    originForm = try line.originForm { framing.hasHost($0, fields) }
    pathLength = Self.pathLength(of: originForm)
  }

  /// A head that no client sent.
  init(method: String, target: String, fields: HeaderFields) {
    (self.method, self.target, originForm, self.fields) = (method, target, target, fields)
    pathLength = Self.pathLength(of: target)
    (contentLength, isChunked, isVersion10, keepsConnection, expectsContinue) = (nil, false, false, true, false)
    requestID = nil
  }

  private static func pathLength(of target: String) -> Int {
    var target = target
    return target.withUTF8 { bytes in bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.count }
  }

  /// The target before the first `?`.
  var path: Substring { Substring(originForm.utf8.prefix(pathLength)) }

  /// What follows the first `?` of the target; nil without one.
  var query: Substring? {
    pathLength == originForm.utf8.count ? nil : Substring(originForm.utf8.dropFirst(pathLength + 1))
  }
}

/// `METHOD TARGET HTTP/1.1` (RFC 9112, section 3).
private struct RequestLine {
  let method: String
  let target: String
  let isVersion10: Bool
  /// The start of the first field line.
  let end: Int

  private static let space = UInt8(ascii: " ")
  private static let version11: StaticString = "HTTP/1.1\r\n"
  private static let version10: StaticString = "HTTP/1.0\r\n"

  init(_ bytes: borrowing [UInt8]) throws(Refusal) {
    let line: Result<RequestLine, Refusal> = bytes.withUnsafeBufferPointer { bytes in
      do throws(Refusal) { return .success(try RequestLine(in: bytes)) } catch { return .failure(error) }
    }
    self = try line.get()
  }

  private init(in bytes: UnsafeBufferPointer<UInt8>) throws(Refusal) {
    // RFC 9112, section 2.2: one empty line before the request is ignored. More are not expected.
    let start = bytes[0] == HeaderFields.carriageReturn && bytes[1] == HeaderFields.lineFeed ? 2 : 0
    // Each scan ends at the line's end at the latest, because CR is not part of a token or a target.
    var position = start
    while HeaderFields.isTokenByte(bytes[position]) { position += 1 }
    let methodEnd = position
    guard methodEnd > start, bytes[methodEnd] == Self.space else { throw .invalidRequestLine }
    position += 1
    while Self.isTargetByte(bytes[position]) { position += 1 }
    let targetEnd = position
    guard bytes[targetEnd] == Self.space else {
      throw bytes[targetEnd] == HeaderFields.carriageReturn ? .invalidRequestLine : .invalidTarget
    }
    end = targetEnd + 1 + Self.version11.utf8CodeUnitCount
    guard targetEnd > methodEnd + 1, end <= bytes.count else { throw .invalidRequestLine }
    let version = UnsafeBufferPointer(rebasing: bytes[(targetEnd + 1)..<end])
    isVersion10 = version.equals(Self.version10)
    guard isVersion10 || version.equals(Self.version11) else {
      throw Self.isVersion(version) ? .versionNotSupported : .invalidRequestLine
    }
    method = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<methodEnd]), as: UTF8.self)
    target = String(decoding: UnsafeBufferPointer(rebasing: bytes[(methodEnd + 1)..<targetEnd]), as: UTF8.self)
  }

  /// A visible character other than `#`, which starts a fragment.
  private static func isTargetByte(_ byte: UInt8) -> Bool {
    byte.isVisible && byte != UInt8(ascii: "#")
  }

  private static func isVersion(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    bytes.starts(with: "HTTP/".utf8) && bytes[5].isDigit && bytes[6] == UInt8(ascii: ".") && bytes[7].isDigit
      && bytes[8] == HeaderFields.carriageReturn
  }

  /// The target as a path and a query (RFC 9112, section 3.2.1).
  /// - Parameter isOurs: called with the authority of the absolute form (section 3.2.2).
  func originForm(_ isOurs: (_ authority: Substring) -> Bool) throws(Refusal) -> String {
    if target.utf8.first == UInt8(ascii: "/") || target == "*" && method == "OPTIONS" { return target }
    guard let authority else { throw .invalidTarget }
    guard isOurs(authority) else { throw .otherAuthority }
    let rest = String(target[authority.endIndex...])
    return rest.utf8.first == UInt8(ascii: "/") ? rest : "/" + rest
  }

  /// The authority of a target that is an `http` or `https` URI.
  private var authority: Substring? {
    for scheme in ["http://", "https://"] where target.prefix(scheme.utf8.count).lowercased() == scheme {
      let authority = target.dropFirst(scheme.utf8.count).prefix { $0 != "/" && $0 != "?" }
      return authority.isEmpty ? nil : authority
    }
    return nil
  }
}

/// The fields that decide where the request ends, which host it is for, whether another request may follow (RFC 9112,
/// sections 3.2, 6 and 9.3), and its id.
private struct Framing {
  private(set) var contentLength: UInt64?
  private(set) var isChunked = false
  private(set) var expectsContinue = false
  private(set) var requestID: String?
  private(set) var requestIDs = 0
  private var closes = false
  private var keepsAlive = false
  private var hosts = 0
  private var refusal: Refusal?

  init(_ fields: HeaderFields, isVersion10: Bool) throws(Refusal) {
    fields.forEach { name, value in test(name, value) }
    if let refusal { throw refusal }
    if hosts == 0, !isVersion10 { throw .missingHost }
    guard isChunked else { return }
    if contentLength != nil { throw .conflictingLengths }
    // RFC 9112, section 6.1: HTTP/1.0 has no transfer codings.
    if isVersion10 { throw .invalidTransferEncoding }
  }

  func keepsConnection(isVersion10: Bool) -> Bool { !closes && (!isVersion10 || keepsAlive) }

  /// Whether the authority equals `Host`, or the request has no such field.
  func hasHost(_ authority: Substring, _ fields: HeaderFields) -> Bool {
    guard let host = fields.combinedValue(of: "host" as StaticString) else { return true }
    var authority = authority
    return host.withUnsafeBufferPointer { host in authority.withUTF8 { host.equalsIgnoringCase($0) } }
  }

  private mutating func test(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    switch name.count {
    case 4 where name.equals("host"): testHost(value)
    case 6 where name.equals("expect"): expectsContinue = value.equalsIgnoringCase("100-continue")
    case 10 where name.equals("connection"): readConnection(value)
    case 12 where name.equals("x-request-id"): readRequestID(value)
    case 14 where name.equals("content-length"): testLength(value)
    case 17 where name.equals("transfer-encoding"): testCoding(value)
    default: break
    }
  }

  private mutating func testHost(_ value: UnsafeBufferPointer<UInt8>) {
    hosts += 1
    if hosts > 1 { return refuse(.repeatedHost) }
    let isAuthority = Self.isAuthorityByte.withUnsafeBufferPointer { table in
      !value.isEmpty && value.allSatisfy { table[Int($0)] }
    }
    if !isAuthority { refuse(.invalidHost) }
  }

  /// A list of options (RFC 9110, section 7.6.1). llhttp misses an option that is followed by a tab.
  private mutating func readConnection(_ value: UnsafeBufferPointer<UInt8>) {
    var rest = value[...]
    while !rest.isEmpty {
      let element = rest.prefix { $0 != UInt8(ascii: ",") }
      rest = rest.dropFirst(element.count + 1)
      let option = UnsafeBufferPointer(rebasing: element).trimmingBlanks()
      if option.equalsIgnoringCase("close") { closes = true }
      if option.equalsIgnoringCase("keep-alive") { keepsAlive = true }
    }
  }

  private mutating func readRequestID(_ value: UnsafeBufferPointer<UInt8>) {
    requestIDs += 1
    guard (1...128).contains(value.count), value.allSatisfy(\.isVisible) else { return }
    requestID = String(decoding: value, as: UTF8.self)
  }

  private mutating func testLength(_ value: UnsafeBufferPointer<UInt8>) {
    if contentLength != nil { return refuse(.conflictingLengths) }
    contentLength = DecimalText.read(value)
    if contentLength == nil { refuse(.invalidContentLength) }
  }

  /// Two lines, or a list, never equal `chunked`.
  private mutating func testCoding(_ value: UnsafeBufferPointer<UInt8>) {
    if isChunked || !value.equalsIgnoringCase("chunked") { refuse(.invalidTransferEncoding) }
    isChunked = true
  }

  private mutating func refuse(_ refusal: Refusal) { self.refusal = self.refusal ?? refusal }

  /// The characters of `host[:port]` (RFC 3986, section 3.2), without the comma, which would make it a list.
  private static let isAuthorityByte: [Bool] = (0...UInt8.max).map {
    $0.isVisible && !"/?#@,\\\"<>^`{|}".utf8.contains($0)
  }
}
