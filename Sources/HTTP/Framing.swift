/// Why a request was refused before anything looked at what it asks for.
public enum Refusal: String, Hashable, Sendable {
  case missingHost = "the Host field is missing"
  case repeatedHost = "the Host field is there more than once"
  case invalidHost = "the Host field is not an authority"
  case repeatedContentLength = "the Content-Length field is there more than once"
  case invalidContentLength = "the Content-Length field is not a number"
  case contentLengthWithTransferEncoding = "Content-Length and Transfer-Encoding exclude each other"
  case invalidTransferEncoding = "the only transfer coding that is understood is chunked"
  case invalidMethod = "the method is not a token"
  case invalidTarget = "the request target must be a path, in visible ASCII characters"
  case invalidField = "a header field has characters that it must not have"
  case versionNotSupported = "the protocol version must be HTTP/1.0 or HTTP/1.1"
  case headerTooLarge = "the header is too large"
  case unavailable = "the service is shutting down"

  public var status: Int {
    switch self {
    case .headerTooLarge: 431
    case .versionNotSupported: 505
    case .unavailable: 503
    default: 400
    }
  }
}

/// Tests what decides where a request ends (RFC 9112, sections 3 and 6): two readers who disagree on that can be
/// made to smuggle one request inside another. libmicrohttpd lets all of this through.
struct Framing {
  /// The value of `Content-Length`; nil where there is none.
  private(set) var contentLength: UInt64?
  private(set) var isChunked = false
  private(set) var refusal: Refusal?

  init(method: String, target: String, version: String, fields: [Request.Field]) {
    refusal = Self.refuse(method: method, target: target, version: version)
    var hosts = 0
    var lengths = 0
    for field in fields where refusal == nil {
      switch field.name {
      case "host":
        hosts += 1
        if hosts > 1 {
          refusal = .repeatedHost
        } else if !Self.isAuthority(field.value) {
          refusal = .invalidHost
        }
      case "content-length":
        lengths += 1
        contentLength = Self.number(field.value)
        if lengths > 1 {
          refusal = .repeatedContentLength
        } else if contentLength == nil {
          refusal = .invalidContentLength
        }
      case "transfer-encoding":
        // Two lines, or a list, are never just `chunked`.
        if isChunked || field.value.lowercased() != "chunked" { refusal = .invalidTransferEncoding }
        isChunked = true
      default:
        if !Self.isToken(field.name) || !Self.isFieldValue(field.value) { refusal = .invalidField }
      }
    }
    guard refusal == nil else { return }
    if hosts == 0, version == "HTTP/1.1" { refusal = .missingHost }
    if isChunked, lengths > 0 { refusal = .contentLengthWithTransferEncoding }
    // RFC 9112, section 6.1: HTTP/1.0 knows no transfer codings.
    if isChunked, version == "HTTP/1.0" { refusal = .invalidTransferEncoding }
  }

  private static func refuse(method: String, target: String, version: String) -> Refusal? {
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else { return .versionNotSupported }
    guard isToken(method), method.utf8.count <= maximumMethodLength else { return .invalidMethod }
    guard target.utf8.first == UInt8(ascii: "/"), target.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
      !target.utf8.contains(UInt8(ascii: "#"))
    else { return .invalidTarget }
    return nil
  }

  private static let maximumMethodLength = 32

  /// RFC 9110, section 5.6.2.
  private static func isToken(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: tokenPunctuation.contains(byte)
        }
      }
  }

  private static let tokenPunctuation = Array("!#$%&'*+-.^_`|~".utf8)

  /// RFC 9110, section 5.5, obs-text included.
  private static func isFieldValue(_ text: String) -> Bool {
    text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == UInt8(ascii: "\t") }
  }

  /// `host[:port]` of visible characters without what would end an authority (RFC 3986, section 3.2).
  private static func isAuthority(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !authorityEnd.contains($0) }
  }

  private static let authorityEnd = Array("/?#@,\\\"<>".utf8)

  private static func number(_ text: String) -> UInt64? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
      return nil
    }
    return UInt64(text)
  }
}
