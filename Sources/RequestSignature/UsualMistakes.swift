internal import Crypto
internal import Encoding

// The mistakes that a diagnosis knows. Each has a test, and docs/devices.md lists them.

extension Mistake {
  /// From here on a number is taken for milliseconds: as seconds, it is after the year 5000.
  static let firstMilliseconds: Int64 = 100_000_000_000

  static let milliseconds = Mistake("created", "`created` is in milliseconds; it must be in whole seconds.")
  static let otherDevice = Mistake("keyid", "`keyid` is not the id of this device.")
  static let otherBody = Mistake(
    "content-digest",
    "`Content-Digest` is not the SHA-256 of the body: the digest is of other bytes, or the body was changed on its way."
  )
  static let secret = Mistake(
    "secret",
    "No usual mistake explains the signature. Compare what the device signs with `signature_base`, byte by byte. If it is the "
      + "same, the secret is another one, or its bytes are: it is 64 lower-case hexadecimal characters as text, without a "
      + "line end or a zero byte after it. A plain HMAC with the secret as its key is no signature here.")

  /// A malformed request.
  init(_ malformation: Malformation) {
    let part =
      switch malformation {
      case .field(let name, _), .fieldMissing(let name): name.lowercased()
      case .keyIDUnknown: "keyid"
      case .notAList, .componentNotString, .componentParameters, .componentUnknown, .componentRepeated:
        FieldName.signatureInput
      case .signatureMissing, .signatureMisshapen: FieldName.signature
      case .componentAbsent(let name), .componentNotCovered(let name), .lineBreak(let name): name
      case .parameterMissing(let name), .parameterMisshapen(let name), .parameterRefused(let name): name
      case .digestMissing: FieldName.contentDigest
      }
    let text = malformation.description
    let beginsWithWord = ["the ", "a ", "no "].contains { text.hasPrefix($0) }
    self.init(part, (beginsWithWord ? text.prefix(1).uppercased() + text.dropFirst() : text) + ".")
  }
}

// MARK: - The encoding of the signature

extension Mistake {
  /// How 32 bytes may be written in `Signature`.
  struct Notation {
    /// Nil for the right one.
    let mistake: Mistake?
    /// The bytes; nil for a text in another encoding.
    let decode: @Sendable (String) -> [UInt8]?

    private init(_ message: String?, _ decode: @escaping @Sendable (String) -> [UInt8]?) {
      mistake = message.map { Mistake(FieldName.signature, $0) }
      self.decode = { text in decode(text).flatMap { $0.count == ScramProof.length ? $0 : nil } }
    }

    static let all = [
      Notation(nil) { inside(":", $0).flatMap { Base64.decode($0) } },
      Notation("The signature is not between colons: `sig1=:...:`.") { Base64.decode(bare($0)) },
      Notation("The signature is in base64 without the `=` at its end; write it with padding.") {
        bare($0).hasSuffix("=") ? nil : Base64.decode(bare($0) + "=")
      },
      Notation("The signature is in base64url; write it in base64, with `+`, `/` and `=`.") {
        Base64URL.decode(bare($0).split(separator: "=").first ?? "")
      },
      Notation(
        "The signature is in hexadecimal digits, in small or capital letters; write its 32 bytes in base64."
      ) {
        Hex.decode(bare($0))
      },
      Notation("The signature is the base64 of hexadecimal digits; write the base64 of its 32 bytes.") {
        Base64.decode(bare($0)).flatMap { Hex.decode(String(decoding: $0, as: UTF8.self)) }
      },
    ]

    private static func inside(_ delimiter: String, _ text: String) -> String? {
      guard text.count >= 2, text.hasPrefix(delimiter), text.hasSuffix(delimiter) else { return nil }
      return String(text.dropFirst().dropLast())
    }

    /// Without colons and quotation marks.
    private static func bare(_ text: String) -> String { text.filter { $0 != ":" && $0 != "\"" } }
  }
}

// MARK: - The bytes of the digest

extension Mistake {
  /// Other bytes than the body, of which a digest may be.
  struct OtherBytes {
    let mistake: Mistake
    let isDigest: @Sendable (_ digest: [UInt8], _ body: [UInt8]) -> Bool

    private init(_ bytes: String, _ change: @escaping @Sendable ([UInt8]) -> [UInt8]?) {
      mistake = Mistake(
        "content-digest", "`Content-Digest` is the SHA-256 of \(bytes), not of the body as it was sent.")
      isDigest = { digest, body in change(body).map { ContentDigest.isDigest(digest, of: $0) } ?? false }
    }

    static let all =
      [
        OtherBytes(
          "the body with a zero byte after it, which `StringToCharArray` adds unless it gets the length"
        ) {
          $0 + [0]
        },
        OtherBytes("the body with a line break after it") { $0 + [UInt8(ascii: "\n")] },
        OtherBytes("the body without the line break at its end") {
          $0.last == UInt8(ascii: "\n") ? $0.dropLast() : nil
        },
        OtherBytes("an empty body") { _ in [] },
        OtherBytes("the body in UTF-16") { utf16(String(decoding: $0, as: UTF8.self)) },
      ] + [inHexadecimal]

    private static let inHexadecimal = OtherBytes(
      "the body in hexadecimal digits: write the base64 of its 32 bytes",
      isDigest: { digest, body in
        Hex.decode(String(decoding: digest, as: UTF8.self)).map { ContentDigest.isDigest($0, of: body) }
          ?? false
      })

    private init(_ bytes: String, isDigest: @escaping @Sendable ([UInt8], [UInt8]) -> Bool) {
      mistake = Mistake("content-digest", "`Content-Digest` is the SHA-256 of \(bytes).")
      self.isDigest = isDigest
    }
  }

  /// Little-endian, as MQL5 keeps strings.
  static func utf16(_ text: String) -> [UInt8] {
    text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }
}

// MARK: - What was signed

extension Mistake {
  /// Another text than the signature base, which a device may have signed.
  struct InBase {
    let mistake: Mistake
    /// What the device may have signed.
    let bases: @Sendable (SignedText) -> [[UInt8]]

    fileprivate init(
      _ message: String, part: String = "base", _ bases: @escaping @Sendable (SignedText) -> [[UInt8]]
    ) {
      mistake = Mistake(part, message)
      self.bases = bases
    }

    /// A base that is another text.
    fileprivate init(
      _ message: String, part: String = "base", text: @escaping @Sendable (SignedText) -> [String]
    ) {
      self.init(message, part: part) { signed in text(signed).map { Array($0.utf8) } }
    }
  }

  static let inBases = [
    InBase(
      "The lines of the base were signed in another order than that of `Signature-Input`.", text: reordered),
    InBase("A line break was signed after the last line of the base, which ends without one.") {
      [$0.text() + "\n", $0.text() + "\r\n"]
    },
    InBase(
      "A zero byte was signed after the base. `StringToCharArray` adds one unless it gets the length.",
      text: { [$0.text() + "\0"] }),
    InBase("The lines of the base were separated by CR LF; a line feed alone is between them.") {
      [$0.text(separator: "\r\n")]
    },
    InBase("The base was signed in UTF-16; its bytes are UTF-8.") { [utf16($0.text())] },
    InBase("The names in the base were signed without quotation marks: `\"@method\": GET`.") {
      [$0.text(quote: "")]
    },
    InBase("The method was signed in other letters than it was sent in.", part: "@method") { signed in
      [{ $0.lowercased() }, { $0.uppercased() }].map { signed.replacing("@method", $0).text() }
    },
    InBase("`@query` was signed without the question mark that it begins with.", part: "@query") { signed in
      [signed.replacing("@query") { String($0.dropFirst()) }.text()]
    },
    InBase("`@path` was signed with the query, or with scheme and host; it is the path alone.", part: "@path") {
      signed in
      [{ _ in signed.target }, { signed.origin + $0 }, { _ in signed.origin + signed.target }].map {
        signed.replacing("@path", $0).text()
      }
    },
    InBase(
      "A component that `Signature-Input` lists has no line in what was signed.",
      text: { signed in
        signed.lines.indices.map { index in
          var other = signed
          other.lines.remove(at: index)
          return other.text()
        }
      }),
    InBase(
      "Path or query were signed with other letters in their percent-encoding, or decoded; sign the bytes that are sent.",
      part: "@path", text: reencoded),
    InBase(
      "`@signature-params` was signed with the label, `sig1=`; its value begins with the bracket.",
      part: "@signature-params"
    ) { signed in
      ["sig1=", "sig="].map { label in
        var other = signed
        other.parameters = label + signed.parametersAsSent
        return other.text()
      }
    },
    InBase(
      "`@signature-params` was signed as it was sent, not in the canonical form: no blanks but one between components.",
      part: "@signature-params"
    ) { signed in
      var other = signed
      other.parameters = signed.parametersAsSent
      return [other.text()]
    },
    InBase(
      "The last line of the base, `\"@signature-params\": ...`, was not signed.", part: "@signature-params"
    ) {
      signed in
      let lines = signed.lines.map { "\"\($0.name)\": \($0.value)" }.joined(separator: "\n")
      return [lines, lines + "\n"]
    },
  ]

  /// Lines that are tried in all orders: 120 of them.
  private static let maximumReorderedLines = 5
  /// Bytes of a base whose lines are tried in all orders.
  private static let maximumReorderedBytes = 4096

  /// The lines in all other orders.
  private static func reordered(_ signed: SignedText) -> [String] {
    guard signed.lines.count <= maximumReorderedLines, signed.bytes.count <= maximumReorderedBytes else {
      return []
    }
    return permutations(of: signed.lines).filter { $0 != signed.lines }.map { lines in
      var other = signed
      other.lines = lines
      return other.text()
    }
  }

  private static func permutations<Element>(of elements: [Element]) -> [[Element]] {
    guard let first = elements.first else { return [[]] }
    return permutations(of: Array(elements.dropFirst())).flatMap { rest in
      (0...rest.count).map { index in
        var permutation = rest
        permutation.insert(first, at: index)
        return permutation
      }
    }
  }

  private static func reencoded(_ signed: SignedText) -> [String] {
    let changes: [(String) -> String] = [
      { changingEscapes(in: $0) { $0.uppercased() } }, { changingEscapes(in: $0) { $0.lowercased() } },
      { PercentEncoding.decode($0[...]) ?? $0 },
    ]
    return changes.map { signed.replacing("@path", $0).replacing("@query", $0).text() }
  }

  /// Changes the two characters after each percent sign.
  private static func changingEscapes(in text: String, _ change: (Substring) -> String) -> String {
    let parts = text.split(separator: "%", omittingEmptySubsequences: false)
    return parts.dropFirst().reduce(String(parts[0])) { $0 + "%" + change($1.prefix(2)) + $1.dropFirst(2) }
  }
}

// MARK: - How the proof was made

extension Mistake {
  /// Another use of the keys than the proof's, as far as the stored key can tell.
  struct InKeys {
    let mistake: Mistake
    let test: @Sendable (_ signature: [UInt8], _ base: [UInt8], _ storedKey: [UInt8]) -> Bool

    fileprivate init(
      _ message: String,
      _ test: @escaping @Sendable (_ signature: [UInt8], _ base: [UInt8], _ storedKey: [UInt8]) -> Bool
    ) {
      mistake = Mistake(FieldName.signature, message)
      self.test = test
    }
  }

  static let inKeys = [
    InKeys("The signature is the plain HMAC with StoredKey; it must be ClientKey XOR that HMAC.") {
      constantTimeEquals($0, HMACSHA256.authenticate(key: $2, message: $1))
    },
    InKeys(
      "The key of the HMAC was StoredKey in hexadecimal digits; it must be its 32 bytes.",
      { signature, base, storedKey in
        [Hex.text(storedKey), Hex.text(storedKey).uppercased()].contains { key in
          ScramProof.verify(
            signature, mac: HMACSHA256.authenticate(key: Array(key.utf8), message: base), storedKey: storedKey)
        }
      }),
    InKeys(
      "The base was hashed with SHA-256; it must be the message of HMAC-SHA-256 with StoredKey as the key."
    ) {
      ScramProof.verify($0, mac: SHA256.hash($1), storedKey: $2)
        || ScramProof.verify($0, mac: SHA256.hash($2 + $1), storedKey: $2)
    },
    InKeys(
      "The HMAC is that of the base's SHA-256; it must be that of the base itself.",
      { ScramProof.verify($0, mac: HMACSHA256.authenticate(key: $2, message: SHA256.hash($1)), storedKey: $2) }),
    InKeys(
      "The signature is ClientKey itself, with which anyone can sign: rotate the secret. It must be ClientKey XOR the HMAC.",
      { signature, _, storedKey in
        ScramProof.verify(signature, mac: [UInt8](repeating: 0, count: ScramProof.length), storedKey: storedKey)
      }),
  ]
}
