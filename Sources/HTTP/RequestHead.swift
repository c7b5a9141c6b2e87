/// A request's line and header section, read from bytes whose end llhttp has found.
///
/// Two readers who disagree on where a request ends can be made to smuggle one request inside another. So this reads all
/// of it again, and refuses what RFC 9112 leaves to servers: a missing or second `Host`, transfer codings but `chunked`,
/// a coding beside HTTP/1.0, targets that are not ours, folded lines.
package final class RequestHead: Sendable {
  package let method: String
  /// As it was received.
  package let target: String
  /// The path and the query of the target; `*` where that is the target of OPTIONS.
  package let originForm: String
  package let fields: HeaderFields
  /// The value of `Content-Length`; nil where there is none.
  package let contentLength: UInt64?
  package let isChunked: Bool
  let isVersion10: Bool
  /// Whether the connection may be used for another request (RFC 9112, section 9.3).
  let keepsConnection: Bool
  /// Whether the client waits for 100 before it sends the content (RFC 9110, section 10.1.1).
  let expectsContinue: Bool

  /// Bytes of a head beside the target and the field lines: the method, the version, blanks and line ends.
  static let maximumBytesBesides = 64

  /// - Parameter bytes: up to and including the empty line.
  package init(_ bytes: [UInt8], limits: HTTPLimits) throws(Refusal) {
    let line = try RequestLine(bytes)
    guard bytes.count - line.end - 2 + line.target.count <= limits.maximumHeaderBytes else {
      throw .headerTooLarge
    }
    method = String(decoding: bytes[line.method], as: UTF8.self)
    let target = try line.target(in: bytes)
    fields = try HeaderFields(bytes, from: line.end, maximumLines: limits.maximumFieldLines)
    isVersion10 = line.isVersion10
    let framing = try Framing(fields, isVersion10: isVersion10)
    contentLength = framing.contentLength
    isChunked = framing.isChunked
    keepsConnection = framing.keepsConnection(isVersion10: isVersion10)
    expectsContinue = framing.expectsContinue && !isVersion10
    if let authority = target.authority, !framing.hasHost(authority, fields) { throw .otherAuthority }
    self.target = target.text
    originForm = target.originForm
  }
}

/// `METHOD TARGET HTTP/1.1` (RFC 9112, section 3): where its parts are.
private struct RequestLine {
  let method: Range<Int>
  let target: Range<Int>
  let isVersion10: Bool
  /// Where the first field line begins.
  let end: Int

  private static let space = UInt8(ascii: " ")
  private static let version11: StaticString = "HTTP/1.1\r\n"
  private static let version10: StaticString = "HTTP/1.0\r\n"

  init(_ bytes: [UInt8]) throws(Refusal) {
    let line: Result<RequestLine, Refusal> = bytes.withUnsafeBufferPointer { bytes in
      // RFC 9112, section 2.2: an empty line before the request is ignored. More than one is not expected.
      let start = bytes.starts(with: "\r\n".utf8) ? 2 : 0
      guard let methodEnd = bytes[start...].firstIndex(where: { !HeaderFields.isTokenByte($0) }),
        methodEnd > start, bytes[methodEnd] == Self.space,
        let targetEnd = bytes[(methodEnd + 1)...].firstIndex(of: Self.space), targetEnd > methodEnd + 1
      else { return .failure(.invalidRequestLine) }
      let end = targetEnd + 1 + Self.version11.utf8CodeUnitCount
      guard end <= bytes.count else { return .failure(.invalidRequestLine) }
      let version = UnsafeBufferPointer(rebasing: bytes[(targetEnd + 1)..<end])
      let isVersion10 = version.equals(Self.version10)
      guard isVersion10 || version.equals(Self.version11) else {
        return .failure(Self.isVersion(version) ? .versionNotSupported : .invalidRequestLine)
      }
      return .success(
        RequestLine(
          method: start..<methodEnd, target: (methodEnd + 1)..<targetEnd, isVersion10: isVersion10, end: end))
    }
    self = try line.get()
  }

  private init(method: Range<Int>, target: Range<Int>, isVersion10: Bool, end: Int) {
    self.method = method
    self.target = target
    self.isVersion10 = isVersion10
    self.end = end
  }

  private static func isVersion(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    return bytes.starts(with: "HTTP/".utf8) && isDigit(bytes[5]) && bytes[6] == UInt8(ascii: ".")
      && isDigit(bytes[7]) && bytes[8] == HeaderFields.carriageReturn
  }

  /// The target as a path and a query (RFC 9112, section 3.2.1), and the authority that its absolute form (section 3.2.2)
  /// names.
  func target(in bytes: [UInt8]) throws(Refusal) -> (text: String, originForm: String, authority: [UInt8]?) {
    let target = bytes[self.target]
    guard target.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else { throw .invalidTarget }
    let text = String(decoding: target, as: UTF8.self)
    if target.first == UInt8(ascii: "/") { return (text, text, nil) }
    if text == "*", bytes[method].elementsEqual("OPTIONS".utf8) { return (text, text, nil) }
    guard let authority = Self.authority(of: target) else { throw .invalidTarget }
    let rest = String(decoding: target[authority.upperBound...], as: UTF8.self)
    return (text, rest.utf8.first == UInt8(ascii: "/") ? rest : "/" + rest, Array(target[authority]))
  }

  /// Where the authority of an `http` or `https` URI is; nil where it is not of the form.
  private static func authority(of target: ArraySlice<UInt8>) -> Range<Int>? {
    for scheme in ["http://", "https://"] where target.count > scheme.utf8.count {
      let start = target.startIndex + scheme.utf8.count
      guard String(decoding: target[..<start], as: UTF8.self).lowercased() == scheme else { continue }
      let end = target[start...].firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
      let authority = start..<(end ?? target.endIndex)
      return authority.isEmpty ? nil : authority
    }
    return nil
  }
}

/// What the fields say of where the request ends, for whom it is, and whether another one may follow (RFC 9112, sections
/// 3.2, 6 and 9.3).
private struct Framing {
  private(set) var contentLength: UInt64?
  private(set) var isChunked = false
  private(set) var expectsContinue = false
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
    // RFC 9112, section 6.1: HTTP/1.0 knows no transfer codings.
    if isVersion10 { throw .invalidTransferEncoding }
  }

  func keepsConnection(isVersion10: Bool) -> Bool { !closes && (!isVersion10 || keepsAlive) }

  /// Whether the authority is that of `Host`, or there is none to contradict it.
  func hasHost(_ authority: [UInt8], _ fields: HeaderFields) -> Bool {
    guard let host = fields.combinedValue(of: "host" as StaticString) else { return true }
    return host.withUnsafeBufferPointer { host in
      authority.withUnsafeBufferPointer { host.equalsIgnoringCase($0) }
    }
  }

  private mutating func test(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    switch name.count {
    case 4 where name.equals("host"): testHost(value)
    case 6 where name.equals("expect"): expectsContinue = value.equalsIgnoringCase("100-continue")
    case 10 where name.equals("connection"): readConnection(value)
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

  /// A list of options (RFC 9110, section 7.6.1). llhttp overlooks one that a tab follows.
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

  private mutating func testLength(_ value: UnsafeBufferPointer<UInt8>) {
    if contentLength != nil { return refuse(.conflictingLengths) }
    contentLength = Self.number(value)
    if contentLength == nil { refuse(.invalidContentLength) }
  }

  /// Two lines, or a list, are never just `chunked`.
  private mutating func testCoding(_ value: UnsafeBufferPointer<UInt8>) {
    if isChunked || !value.equalsIgnoringCase("chunked") { refuse(.invalidTransferEncoding) }
    isChunked = true
  }

  private mutating func refuse(_ refusal: Refusal) { self.refusal = self.refusal ?? refusal }

  /// What `host[:port]` is made of (RFC 3986, section 3.2), without the comma, which would make a list of it.
  private static let isAuthorityByte: [Bool] = (0...UInt8.max).map {
    $0 > 0x20 && $0 < 0x7F && !"/?#@,\\\"<>^`{|}".utf8.contains($0)
  }

  private static func number(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64? {
    guard !bytes.isEmpty else { return nil }
    var number: UInt64 = 0
    for byte in bytes {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
      let (sum, overflows) = tens.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
      guard !isTooLarge, !overflows else { return nil }
      number = sum
    }
    return number
  }
}
