@testable import HTTP

/// A difference between the machine and h11 that is intended.
struct KnownDifference: Sendable {
  /// What a client sends that shows it.
  let example: String
  let reason: String
  let explains: @Sendable (Difference) -> Bool

  init(_ example: String, _ reason: String, explains: @escaping @Sendable (Difference) -> Bool) {
    (self.example, self.reason, self.explains) = (example, reason, explains)
  }

  /// A difference in requests that we refuse and h11 accepts.
  init(
    _ example: String, _ refusal: Refusal, _ reason: String,
    explains: @escaping @Sendable (Difference, ReadRequest) -> Bool
  ) {
    self.init(example, "\(refusal): \(reason)") { difference in
      guard difference.kind == .refusedByUs(refusal), let request = difference.request else { return false }
      return explains(difference, request)
    }
  }
}

extension KnownDifference {
  /// None is of the kind `reading`: what both accept, both must read alike.
  static let all = connections + requestLines + hosts + fields + lengths + trailers + chunks

  private static let get = "GET / HTTP/1.1\r\nHost: a\r\n"
  private static let post = "POST / HTTP/1.1\r\nHost: a\r\n"
  private static let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

  private static let connections = [
    KnownDifference("GET /\u{0}", "h11 tests a complete line or section, we stop at the first wrong byte") {
      if case .refusedEarlierByUs = $0.kind { true } else { false }
    },
    KnownDifference(
      "\r\n\(get)\r\n", "h11 does not ignore an empty line before a request (RFC 9112, section 2.2)"
    ) {
      [.refusedByH11, .refusedEarlierByH11].contains($0.kind) && $0.bytes.starts(with: "\r\n".utf8)
    },
    KnownDifference("\nGET", "we refuse other empty lines with the header section that follows them") {
      $0.kind == .refusedEarlierByH11 && !$0.bytes.starts(with: "\r\n".utf8)
        && $0.bytes.first.map { "\r\n".utf8.contains($0) } == true
    },
    KnownDifference(
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "h11 closes each connection of HTTP/1.0, which a client may ask to keep (RFC 9112, section 9.3)"
    ) {
      guard $0.kind == .closedByH11, let previous = $0.previous else { return false }
      return previous.version == "1.0" && previous.connectionOptions.contains("keep-alive")
    },
  ]

  private static let requestLines = [
    KnownDifference("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", .unknownMethod, "h11 accepts any token") {
      let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
      return !methods.contains($1.method)
    },
    KnownDifference("GET / HTTP/1.2\r\n\r\n", .versionNotSupported, "h11 accepts any two digits") {
      !["1.0", "1.1"].contains($1.version)
    },
    KnownDifference("GET a HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget, "h11 accepts any visible characters") {
      !$1.hasTargetForm
    },
    KnownDifference(
      "GET / HTTP/1.1\nHost: a\r\n\r\n", .invalidRequestLine, "h11 accepts LF, as RFC 9112, section 2.2, allows"
    ) { difference, _ in difference.requestLine.endsWithBareLineFeed },
    KnownDifference(
      "GET / HTTP/0.0\r\n\r\n", .invalidRequestLine, "llhttp does not tell this version from a missing one"
    ) { $1.version == "0.0" },
    KnownDifference(
      "SETUP / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidRequestLine,
      "llhttp accepts methods of ICE and RTSP with those protocols alone"
    ) { methodsOfOtherProtocols.contains($1.method) },
  ]

  private static let methodsOfOtherProtocols = [
    "SOURCE", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER",
    "REDIRECT", "RECORD", "FLUSH",
  ]

  private static let hosts = [
    KnownDifference("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .invalidHost, "h11 accepts any value") {
      $1.values(of: "host").contains { !$0.isAuthority }
    },
    KnownDifference(
      "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", .otherAuthority, "h11 does not read absolute targets"
    ) { $1.targetAuthority?.lowercased() != $1.values(of: "host").first?.lowercased() },
  ]

  private static let fields = [
    KnownDifference("\(get)X: y\n\r\n", .invalidField, "h11 accepts LF, as RFC 9112, section 2.2, allows") {
      difference, _ in difference.sectionLines.contains(where: \.endsWithBareLineFeed)
    },
    KnownDifference("\(get)X: \u{1}\r\n\r\n", .invalidField, "h11 accepts what RFC 9110, section 5.5, forbids")
    {
      difference, _ in
      difference.sectionLines.joined().contains { $0 < 0x20 && !"\t\r\n".utf8.contains($0) || $0 == 0x7F }
    },
    // llhttp has other errors where a field that it knows is folded.
    KnownDifference("\(get)X: y\r\n z\r\n\r\n", "h11 unfolds lines, as RFC 9112, section 5.2, allows") {
      guard case .refusedByUs(let refusal) = $0.kind else { return false }
      return [.invalidField, .conflictingLengths, .invalidTransferEncoding].contains(refusal)
        && $0.sectionLines.contains(where: \.isFolded)
    },
  ]

  private static let lengths = [
    KnownDifference(
      "\(post)Content-Length: 1\r\nContent-Length: 1\r\n\r\na", .conflictingLengths,
      "h11 accepts equal lengths, as RFC 9112, section 6.3, allows"
    ) { difference, _ in difference.sentValues(of: "content-length").count > 1 },
    KnownDifference(
      "\(post)Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .conflictingLengths,
      "h11 ignores the length of chunked content, as RFC 9112, section 6.1, allows"
    ) { !$1.values(of: "transfer-encoding").isEmpty && !$1.values(of: "content-length").isEmpty },
    KnownDifference(
      "\(post)Content-Length: 1, 1\r\n\r\na", .invalidContentLength,
      "h11 accepts a list of equal lengths, as RFC 9112, section 6.3, allows"
    ) { difference, _ in difference.sentValues(of: "content-length").contains { $0.contains(",") } },
    KnownDifference(
      "\(post)Content-Length: 18446744073709551616\r\n\r\n", .invalidContentLength,
      "h11 accepts numbers of more than 64 bits"
    ) { $1.values(of: "content-length").contains { UInt64($0) == nil } },
    KnownDifference(
      "\(post)Content-Length: 1\t\r\n\r\na", .invalidContentLength, "llhttp accepts no tab after the value"
    ) { difference, _ in
      difference.lastLine.last == UInt8(ascii: "\t")
        && difference.lastLine.dropLast().contains { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    },
    KnownDifference(
      "\(post)Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", .invalidTransferEncoding,
      "llhttp accepts no tab after the value"
    ) { difference, _ in
      difference.sectionLines.contains {
        String(latin1: $0).lowercased().hasPrefix("transfer-encoding:")
          && $0.last { !" \r\n".utf8.contains($0) } == UInt8(ascii: "\t")
      }
    },
    KnownDifference(
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .invalidTransferEncoding,
      "h11 accepts codings with HTTP/1.0, the framing of which is faulty by RFC 9112, section 6.1"
    ) { $1.version == "1.0" && !$1.values(of: "transfer-encoding").isEmpty },
  ]

  private static let trailers = [
    KnownDifference(
      "\(chunked)0\r\nTransfer-Encoding: chunked\r\n\r\n", .invalidTransferEncoding,
      "h11 ignores a coding in a trailer section, as RFC 9110, section 6.5.1, allows"
    ) { difference, _ in
      difference.trailerLines != nil && difference.sentValues(of: "transfer-encoding").contains { $0 != "" }
    },
    KnownDifference(
      "\(chunked)0\r\nTransfer-Encoding:\r\n\r\n", "h11 refuses an empty coding in a trailer section"
    ) {
      $0.kind == .refusedByH11 && $0.trailerLines != nil && $0.sentValues(of: "transfer-encoding").contains("")
    },
  ]

  private static let chunks = [
    KnownDifference(
      "\(chunked)1;a b\r\nx\r\n0\r\n\r\n", .invalidChunk, "h11 accepts anything as a chunk extension"
    ) { difference, _ in
      let digits = difference.lastLine.hexadecimalDigits
      return !digits.isEmpty && difference.lastLine[digits.endIndex...].first == UInt8(ascii: ";")
    },
    KnownDifference("\(chunked)1 \r\nx\r\n0\r\n\r\n", .invalidChunk, "h11 accepts blanks after a size") {
      difference, _ in
      let digits = difference.lastLine.hexadecimalDigits
      let rest = difference.lastLine[digits.endIndex...]
      return !digits.isEmpty && (rest.elementsEqual(" ".utf8) || rest.elementsEqual("\t".utf8))
    },
    KnownDifference(
      "\(chunked)10000000000000000\r\n", .invalidChunk, "h11 accepts numbers of more than 64 bits"
    ) { difference, _ in UInt64(String(latin1: difference.lastLine.hexadecimalDigits), radix: 16) == nil },
    KnownDifference(
      "\(chunked)\(String(repeating: "0", count: 21))\r\n\r\n", "h11 refuses more than 20 digits, zeros too"
    ) { difference in
      difference.kind == .refusedByH11 && difference.request?.values(of: "transfer-encoding") == ["chunked"]
        && difference.contentLines.contains { $0.hexadecimalDigits.count > 20 }
    },
  ]
}

// MARK: What the rows ask for

extension ReadRequest {
  fileprivate var connectionOptions: [String] {
    let list = values(of: "connection").joined(separator: ",").lowercased()
    return list.split(separator: ",").map { String($0.filter { $0 != " " && $0 != "\t" }) }
  }

  /// The authority of an absolute target (RFC 9112, section 3.2.2).
  fileprivate var targetAuthority: String? {
    guard let scheme = ["http://", "https://"].first(where: target.lowercased().hasPrefix) else { return nil }
    return String(target.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" })
  }

  /// Whether the target is a path, an absolute one, or the `*` of OPTIONS (RFC 9112, section 3.2).
  fileprivate var hasTargetForm: Bool {
    guard !target.contains("#") else { return false }
    return target.hasPrefix("/") || target == "*" && method == "OPTIONS" || targetAuthority?.isAuthority == true
  }
}

extension String {
  fileprivate var isAuthority: Bool {
    !isEmpty
      && unicodeScalars.allSatisfy {
        $0.value > 0x20 && $0.value < 0x7F && !"/?#@,\\\"<>^`{|}".unicodeScalars.contains($0)
      }
  }
}

extension ArraySlice<UInt8> {
  fileprivate var hexadecimalDigits: ArraySlice<UInt8> { prefix { Character(Unicode.Scalar($0)).isHexDigit } }
}
