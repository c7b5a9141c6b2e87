internal import Crypto
internal import Encoding
internal import HTTP

/// A file that browsers load, in the two codings that it is sent in.
struct WebFile: Sendable {
  private let content: [UInt8]
  /// Nil if compression does not make it smaller.
  private let compressed: [UInt8]?
  private let contentType: StaticString
  /// A strong validator (RFC 9110, section 8.8.3): of the content, and of the compressed one with a suffix.
  private let tag: String
  private let policy: String

  private static let compressedSuffix = "-gzip"
  /// Of a SHA-256.
  private static let tagBytes = 16

  init(name: String, content: [UInt8], policy: ContentPolicy) {
    self.content = content
    contentType = Self.type(of: name)
    let compressed = Gzip.compress(content)
    self.compressed = compressed.count < content.count ? compressed : nil
    tag = Base64URL.encode(Array(SHA256.hash(content).prefix(Self.tagBytes)))
    self.policy = policy.text
  }

  /// Also to HEAD, whose content the server leaves out.
  func response(to request: Request) -> Response {
    let compressed = Negotiation.acceptsGzip(request.value(of: "accept-encoding")) ? compressed : nil
    let tag = "\"\(tag)\(compressed == nil ? "" : Self.compressedSuffix)\""
    let isFresh = Negotiation.matches(request.value(of: "if-none-match"), tag)
    let response = Response(status: isFresh ? 304 : 200, fields: [("ETag", tag), ("Vary", "Accept-Encoding")])
    // A browser asks each time, and usually gets 304: after an update, no file is older than another.
    response.cacheControl = "no-cache"
    guard !isFresh else { return response }
    let bytes = compressed ?? content
    let body = ByteBuffer(capacity: bytes.count)
    bytes.withUnsafeBufferPointer { body.append($0) }
    response.body = body
    response.contentType = contentType
    response.fields += [
      ("Content-Security-Policy", policy), ("X-Content-Type-Options", "nosniff"),
      ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Opener-Policy", "same-origin"),
      ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    ]
    if compressed != nil { response.fields.append(("Content-Encoding", "gzip")) }
    return response
  }

  private static func type(of name: String) -> StaticString {
    switch name.split(separator: ".").last {
    case "html": "text/html; charset=utf-8"
    case "css": "text/css; charset=utf-8"
    case "js": "text/javascript; charset=utf-8"
    case "json": "application/json"
    case "svg": "image/svg+xml"
    default: "application/octet-stream"
    }
  }
}

/// The request fields that choose a coding, and those that ask whether a file is still the same.
enum Negotiation {
  /// Whether `Accept-Encoding` names gzip, with a weight other than 0 (RFC 9110, section 12.5.3).
  static func acceptsGzip(_ value: String?) -> Bool {
    for element in (value ?? "").split(separator: ",") {
      let parts = element.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
      guard parts.first == "gzip" else { continue }
      return !parts.dropFirst().contains { $0.hasPrefix("q=0") && $0.allSatisfy { "q=0.".contains($0) } }
    }
    return false
  }

  /// Whether `If-None-Match` names the tag or is `*`. Weak comparison (RFC 9110, section 13.1.2).
  static func matches(_ value: String?, _ tag: String) -> Bool {
    (value ?? "").split(separator: ",").contains { element in
      let element = element.drop { $0 == " " || $0 == "\t" }
      let strong = element.hasPrefix("W/") ? element.dropFirst(2) : element
      return strong == "*" || strong.prefix { $0 != " " && $0 != "\t" } == tag
    }
  }
}
