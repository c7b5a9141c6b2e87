/// Tests what decides where a request ends (RFC 9112, sections 3 and 6): two readers who disagree on that can be
/// made to smuggle one request inside another. libmicrohttpd lets all of this through.
package struct Framing {
  /// The value of `Content-Length`; nil where there is none.
  private(set) var contentLength: UInt64?
  package private(set) var refusal: Refusal?
  private var isChunked = false
  private var hosts = 0
  private var lengths = 0

  package init(method: String, target: String, version: String, fields: HeaderFields) {
    refusal = Self.refuse(method: method, target: target, version: version)
    guard refusal == nil else { return }
    fields.forEach { name, value in
      if refusal == nil { refusal = test(name, value) }
    }
    guard refusal == nil else { return }
    if hosts == 0, version == "HTTP/1.1" { refusal = .missingHost }
    if isChunked, lengths > 0 { refusal = .contentLengthWithTransferEncoding }
    // RFC 9112, section 6.1: HTTP/1.0 knows no transfer codings.
    if isChunked, version == "HTTP/1.0" { refusal = .invalidTransferEncoding }
  }

  private mutating func test(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>)
    -> Refusal?
  {
    if name.equals("host") {
      hosts += 1
      return hosts > 1 ? .repeatedHost : Self.isAuthority(value) ? nil : .invalidHost
    } else if name.equals("content-length") {
      lengths += 1
      contentLength = Self.number(value)
      return lengths > 1 ? .repeatedContentLength : contentLength == nil ? .invalidContentLength : nil
    } else if name.equals("transfer-encoding") {
      // Two lines, or a list, are never just `chunked`.
      let isRepeated = isChunked
      isChunked = true
      return value.equalsIgnoringCase("chunked") && !isRepeated ? nil : .invalidTransferEncoding
    } else {
      return Self.isToken(name) && Self.isFieldValue(value) ? nil : .invalidField
    }
  }

  private static func refuse(method: String, target: String, version: String) -> Refusal? {
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else { return .versionNotSupported }
    var method = method
    guard method.withUTF8({ isToken($0) && $0.count <= maximumMethodLength }) else { return .invalidMethod }
    var target = target
    let isPath = target.withUTF8 { bytes in
      bytes.first == UInt8(ascii: "/")
        && bytes.allSatisfy { isVisible($0) && $0 != UInt8(ascii: "#") }
    }
    return isPath ? nil : .invalidTarget
  }

  private static let maximumMethodLength = 32

  private static func isVisible(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F }

  /// Whether all bytes are of RFC 9110, section 5.5, obs-text included. Looks at each, for so many can be looked at at
  /// once.
  private static func isFieldValue(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    var strangers: UInt8 = 0
    for byte in bytes {
      strangers |= (byte < 0x20 && byte != UInt8(ascii: "\t")) || byte == 0x7F ? 1 : 0
    }
    return strangers == 0
  }

  /// RFC 9110, section 5.6.2.
  private static func isToken(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    isTokenByte.withUnsafeBufferPointer { table in !bytes.isEmpty && bytes.allSatisfy { table[Int($0)] } }
  }

  private static let isTokenByte = table { byte in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }

  /// `host[:port]`, without what would end an authority (RFC 3986, section 3.2).
  private static func isAuthority(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    isAuthorityByte.withUnsafeBufferPointer { table in !bytes.isEmpty && bytes.allSatisfy { table[Int($0)] } }
  }

  private static let isAuthorityByte = table { isVisible($0) && !"/?#@,\\\"<>".utf8.contains($0) }

  private static func table(_ isMember: (UInt8) -> Bool) -> [Bool] { (0...UInt8.max).map(isMember) }

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
