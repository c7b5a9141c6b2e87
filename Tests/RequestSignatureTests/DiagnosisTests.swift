import Crypto
import Encoding
import Foundation
import Testing

@testable import RequestSignature

/// A request with one of the usual mistakes, and what the diagnosis says of it.
struct MistakenRequest: CustomTestStringConvertible, Sendable {
  let name: String
  let makeRequest: @Sendable () -> RequestView
  let part: String
  /// Words of the message.
  let words: String
  var testDescription: String { name }
  var request: RequestView { makeRequest() }
}

@Suite("Diagnosis of a signature") struct DiagnosisTests {
  private static let clientKey = HMACSHA256.authenticate(
    key: Array(TestDevice.secret.utf8), message: Array("Client Key".utf8))
  private static let body = "{\"a\": 1}\n"
  private static let target = "/api/v1/device/poll?max=1&x=%2f"

  /// What a device does to sign a POST with a query and a body; each mistake changes one step.
  private struct Signer {
    var method = "POST"
    var target = DiagnosisTests.target
    var covered = ["@method", "@path", "@query", "content-digest"]
    var parameters = TestDevice.parameters
    /// As `Signature-Input` has the member.
    var member: (String) -> String = { $0 }
    var digested = Array(DiagnosisTests.body.utf8)
    var digest: ([UInt8]) -> String = { ContentDigest.value(of: $0) }
    /// The base that is signed, of its right lines.
    var base: ([String]) -> [UInt8] = { Array($0.joined(separator: "\n").utf8) }
    /// The code of the base.
    var code: ([UInt8]) -> [UInt8] = { HMACSHA256.authenticate(key: TestDevice.storedKey, message: $0) }
    /// The signature, of the code.
    var signature: ([UInt8]) -> [UInt8] = { zip(DiagnosisTests.clientKey, $0).map { $0 ^ $1 } }
    var field: ([UInt8]) -> String = { "sig1=:\(Base64.encode($0)):" }

    func request() -> RequestView {
      let content = digest(digested)
      let member = "(" + covered.map { "\"\($0)\"" }.joined(separator: " ") + ")" + parameters
      let path = String(target.prefix { $0 != "?" })
      let values = [
        "@method": method, "@path": path, "@query": String(target.dropFirst(path.count)),
        "content-digest": content,
      ]
      let lines = covered.map { "\"\($0)\": \(values[$0]!)" } + ["\"@signature-params\": \(member)"]
      let fields: Fields = [
        "content-digest": [content], "signature-input": ["sig1=" + self.member(member)],
        "signature": [field(signature(code(base(lines))))],
      ]
      return view(method, target, fields: fields, body: DiagnosisTests.body)
    }
  }

  private static func mistaken(
    _ name: String, _ part: String, _ words: String, _ change: @escaping @Sendable (inout Signer) -> Void
  ) -> MistakenRequest {
    MistakenRequest(
      name: name,
      makeRequest: {
        var signer = Signer()
        change(&signer)
        return signer.request()
      }, part: part, words: words)
  }

  private static func diagnose(_ request: RequestView) -> SignatureDiagnosis {
    SignatureDiagnosis(of: request, deviceID: TestDevice.id, storedKey: TestDevice.storedKey)
  }

  private static func line(_ index: Int, _ change: @escaping (String) -> String) -> ([String]) -> [UInt8] {
    { lines in
      var lines = lines
      lines[index] = change(lines[index])
      return Array(lines.joined(separator: "\n").utf8)
    }
  }

  private static func xor(_ code: [UInt8]) -> [UInt8] { zip(clientKey, code).map { $0 ^ $1 } }

  static let mistakes = coverage + contents + bases + encodings + keys

  private static let coverage = [
    mistaken("the query is not covered", "@query", "must be covered") {
      $0.covered = ["@method", "@path", "content-digest"]
    },
    mistaken("the body is not covered", "content-digest", "must be covered") {
      $0.covered = ["@method", "@path", "@query"]
    },
    mistaken("milliseconds", "created", "milliseconds") {
      $0.parameters = TestDevice.parameters.replacing(
        "\(TestDevice.created)", with: "\(TestDevice.created * 1000)")
    },
    mistaken("alg", "alg", "not supported") { $0.parameters += ";alg=\"hmac-sha256\"" },
    mistaken("no nonce", "nonce", "missing") {
      $0.parameters = TestDevice.parameters.replacing(";nonce=\"\(TestDevice.nonce)\"", with: "")
    },
    mistaken("a short nonce", "nonce", "8 to 64") {
      $0.parameters = TestDevice.parameters.replacing(TestDevice.nonce, with: "abc")
    },
    mistaken("another device", "keyid", "id of this device") {
      $0.parameters = TestDevice.parameters.replacing(
        TestDevice.id, with: "0190a5c2-7d3e-7b1a-8c4d-5e6f70819204")
    },
  ]

  private static let contents = [
    mistaken("digest with a zero byte", "content-digest", "StringToCharArray") { $0.digested += [0] },
    mistaken("digest with a line break", "content-digest", "line break after") { $0.digested += [10] },
    mistaken("digest without the line break", "content-digest", "without the line break") {
      $0.digested.removeLast()
    },
    mistaken("digest of nothing", "content-digest", "an empty body") { $0.digested = [] },
    mistaken("digest of UTF-16", "content-digest", "UTF-16") { $0.digested = Mistake.utf16(body) },
    mistaken("digest of another body", "content-digest", "other bytes") { $0.digested = [1, 2, 3] },
    mistaken("digest in hexadecimal digits", "content-digest", "hexadecimal") {
      $0.digest = { "sha-256=:\(Base64.encode(Array(Hex.text(SHA256.hash($0)).utf8))):" }
    },
  ]

  private static let bases = [
    mistaken("another order", "base", "another order") {
      $0.base = { lines in Array([1, 0, 3, 2, 4].map { lines[$0] }.joined(separator: "\n").utf8) }
    },
    mistaken("a trailing newline", "base", "A line break was signed after") {
      $0.base = { Array(($0.joined(separator: "\n") + "\n").utf8) }
    },
    mistaken("a terminating zero", "base", "zero byte") {
      $0.base = { Array($0.joined(separator: "\n").utf8) + [0] }
    },
    mistaken("CR LF", "base", "CR LF") { $0.base = { Array($0.joined(separator: "\r\n").utf8) } },
    mistaken("UTF-16", "base", "UTF-16") { $0.base = { Mistake.utf16($0.joined(separator: "\n")) } },
    mistaken("names without quotation marks", "base", "quotation marks") {
      $0.base = { lines in
        Array(
          lines.map { String($0.dropFirst()).replacing("\": ", with: ": ", maxReplacements: 1) }.joined(
            separator: "\n"
          ).utf8)
      }
    },
    mistaken("the method in small letters", "@method", "other letters") {
      $0.base = line(0) { $0.lowercased() }
    },
    mistaken("the query without ?", "@query", "question mark") {
      $0.base = line(2) { $0.replacing("?", with: "") }
    },
    mistaken("the path with the query", "@path", "path alone") {
      $0.base = line(1) { _ in "\"@path\": \(target)" }
    },
    mistaken("the path with the origin", "@path", "path alone") {
      $0.base = line(1) { $0.replacing("/api", with: "http://localhost:8000/api") }
    },
    mistaken("a line is missing", "base", "no line") {
      $0.base = { lines in Array((lines.prefix(2) + lines.dropFirst(3)).joined(separator: "\n").utf8) }
    },
    mistaken("capital letters in the percent-encoding", "@path", "percent-encoding") {
      $0.base = line(2) { $0.replacing("%2f", with: "%2F") }
    },
    mistaken("decoded", "@path", "decoded") { $0.base = line(2) { $0.replacing("%2f", with: "/") } },
    mistaken("the label in @signature-params", "@signature-params", "label") {
      $0.base = line(4) { $0.replacing(": (", with: ": sig1=(") }
    },
    mistaken("not the canonical form", "@signature-params", "canonical") {
      $0.member = { $0.replacing(";nonce", with: "; nonce") }
      $0.base = line(4) { $0.replacing(";nonce", with: "; nonce") }
    },
    mistaken("without @signature-params", "@signature-params", "was not signed") {
      $0.base = { Array($0.dropLast().joined(separator: "\n").utf8) }
    },
  ]

  private static let encodings = [
    mistaken("base64url", "signature", "base64url") {
      $0.field = { "sig1=:\(Base64URL.encode($0)):" }
      // A signature with a character that base64 does not have.
      var number = 0
      while !String(decoding: $0.request().value("signature") ?? [], as: UTF8.self).contains(where: {
        "-_".contains($0)
      }) {
        number += 1
        $0.parameters = TestDevice.parameters.replacing(TestDevice.nonce, with: "nonce-\(10_000 + number)")
      }
    },
    mistaken("base64 without padding", "signature", "padding") {
      // A signature with `+` and `/`, or neither, is base64 in any case.
      $0.field = { "sig1=:\(Base64.encode($0).dropLast()):" }
    },
    mistaken("upper-case hex", "signature", "hexadecimal digits") {
      $0.field = { "sig1=:\(Hex.text($0).uppercased()):" }
    },
    mistaken("lower-case hex", "signature", "hexadecimal digits") { $0.field = { "sig1=:\(Hex.text($0)):" } },
    mistaken("base64 of hex", "signature", "base64 of hexadecimal") {
      $0.field = { "sig1=:\(Base64.encode(Array(Hex.text($0).utf8))):" }
    },
    mistaken("no colons", "signature", "colons") { $0.field = { "sig1=\(Base64.encode($0))" } },
    mistaken("a string", "signature", "colons") { $0.field = { "sig1=\"\(Base64.encode($0))\"" } },
  ]

  private static let keys = [
    mistaken("a plain HMAC", "signature", "plain HMAC") { $0.signature = { $0 } },
    mistaken("the key in small hex", "signature", "StoredKey in hexadecimal") {
      $0.code = { HMACSHA256.authenticate(key: Array(Hex.text(TestDevice.storedKey).utf8), message: $0) }
    },
    mistaken("the key in capital hex", "signature", "StoredKey in hexadecimal") {
      $0.code = {
        HMACSHA256.authenticate(key: Array(Hex.text(TestDevice.storedKey).uppercased().utf8), message: $0)
      }
    },
    mistaken("a hash in place of the HMAC", "signature", "hashed with SHA-256") {
      $0.code = { SHA256.hash($0) }
    },
    mistaken("a hash with the key", "signature", "hashed with SHA-256") {
      $0.code = { SHA256.hash(TestDevice.storedKey + $0) }
    },
    mistaken("the HMAC of a hash", "signature", "that of the base's SHA-256") {
      $0.code = { HMACSHA256.authenticate(key: TestDevice.storedKey, message: SHA256.hash($0)) }
    },
    mistaken("ClientKey itself", "signature", "rotate the secret") { $0.signature = { _ in clientKey } },
  ]

  @Test func `A right signature has no findings`() throws {
    let request = Signer().request()
    let diagnosis = Self.diagnose(request)
    #expect(diagnosis.verifies && diagnosis.findings == [])
    let base = try #require(diagnosis.signatureBase)
    #expect(base.hasPrefix("\"@method\": POST\n\"@path\": /api/v1/device/poll\n\"@query\": ?max=1&x=%2f\n"))
    #expect(
      base.hasSuffix(
        "\"@signature-params\": (\"@method\" \"@path\" \"@query\" \"content-digest\")\(TestDevice.parameters)"))
  }

  @Test(arguments: mistakes)
  func `Each usual mistake is found, and alone`(_ mistake: MistakenRequest) throws {
    let diagnosis = Self.diagnose(mistake.request)
    #expect(!diagnosis.verifies)
    let found = diagnosis.findings.filter(\.verifiesIfChanged)
    #expect(found.count == 1, "\(diagnosis.findings)")
    #expect(found.first?.part == mistake.part)
    #expect(found.first?.message.contains(mistake.words) == true, "\(found)")
    #expect(diagnosis.findings.count == 1, "\(diagnosis.findings)")
  }

  @Test func `Every mistake of the tables has a test`() {
    let found = Set(Self.mistakes.flatMap { Self.diagnose($0.request).findings.map(\.message) })
    let known =
      Mistake.inBases.map(\.mistake) + Mistake.inKeys.map(\.mistake) + Mistake.OtherBytes.all.map(\.mistake)
      + Mistake.Notation.all.compactMap(\.mistake) + [.milliseconds, .otherDevice, .otherBody]
    for mistake in known { #expect(found.contains(mistake.message), "\(mistake.message)") }
  }

  @Test func `The document for developers has what is said of each mistake`() throws {
    let path = URL(filePath: #filePath).appending(path: "../../../docs/devices.md").standardized
    let document = try String(contentsOf: path, encoding: .utf8)
    let known =
      Mistake.inBases.map(\.mistake) + Mistake.inKeys.map(\.mistake) + Mistake.OtherBytes.all.map(\.mistake)
      + Mistake.Notation.all.compactMap(\.mistake)
      + [.milliseconds, .otherDevice, .otherBody, .secret]
    for mistake in known {
      #expect(document.contains("| `\(mistake.part)` | \(mistake.message) |"), "\(mistake.message)")
    }
  }

  @Test func `With another secret, nothing would verify`() {
    for mistake in Self.mistakes + [
      Self.mistaken("none", "", "") { _ in }
    ] {
      let diagnosis = SignatureDiagnosis(
        of: mistake.request, deviceID: TestDevice.id, storedKey: TestDevice.serverKey)
      #expect(
        !diagnosis.verifies && !diagnosis.findings.contains(where: \.verifiesIfChanged), "\(mistake.name)")
      #expect(diagnosis.findings.last?.part == "secret", "\(mistake.name)")
    }
  }

  @Test(
    arguments: [
      (["signature-input": ["sig1=()"]], "signature", "missing"),
      (["signature": ["sig1=:AA==:"]], "signature-input", "missing"),
      ([:], "signature-input", "missing"),
      (
        ["signature-input": ["sig1=(\"@method\" \"@method\")"], "signature": ["sig1=:AA==:"]],
        "signature-input", "more than once"
      ),
      (
        ["signature-input": ["sig1=(\"Date\")"], "signature": ["sig1=:AA==:"]], "signature-input", "lower case"
      ),
      (["signature-input": ["sig1=(\"date\")"], "signature": ["sig1=:AA==:"]], "date", "not in the message"),
      (
        ["signature-input": ["sig1=(\"@method\""], "signature": ["sig1=:AA==:"]], "signature-input",
        "cannot be read"
      ),
      (
        ["signature-input": ["sig1=(\"@method\")"], "signature": ["sig2=:AA==:"]], "signature", "no member sig1"
      ),
    ] as [(Fields, String, String)])
  func `What cannot be read is named`(_ fields: Fields, _ part: String, _ words: String) {
    let diagnosis = Self.diagnose(view(fields: fields))
    #expect(!diagnosis.verifies && diagnosis.signatureBase == nil)
    #expect(
      diagnosis.findings.first?.part == part && diagnosis.findings.first?.message.contains(words) == true,
      "\(diagnosis)")
  }

  @Test func `It never contains the right signature`() {
    for mistake in Self.mistakes {
      let diagnosis = Self.diagnose(mistake.request)
      guard let base = diagnosis.signatureBase else { continue }
      let right = Self.xor(HMACSHA256.authenticate(key: TestDevice.storedKey, message: Array(base.utf8)))
      for text in [Base64.encode(right), Hex.text(right), Base64URL.encode(right)] {
        #expect(!"\(diagnosis)".contains(text))
      }
    }
  }

  @Test(arguments: ["\u{301}", "\u{200D}x", "\": ", "\r\n", "\n\"@path\": /", "", "\u{FEFF}"])
  func `Any text may be in the values that are covered`(_ text: String) {
    let fields: Fields = [
      "x-a": [text], "signature-input": ["sig1=(\"x-a\" \"@method\" \"@query\")" + TestDevice.parameters],
      "signature": ["sig1=:\(Base64.encode([UInt8](repeating: 1, count: 32))):"],
    ]
    for request in [
      view(fields: fields), view("GET" + text, "/?" + text, fields: fields), view(text, text, fields: fields),
    ] {
      let diagnosis = Self.diagnose(request)
      #expect(!diagnosis.verifies && !diagnosis.findings.isEmpty)
    }
  }

  @Test func `A hostile request takes no long time`() {
    let names = (0..<32).map { "x-\($0)" }
    var fields: Fields = [
      "signature-input": [
        "sig1=(" + names.map { "\"\($0)\"" }.joined(separator: " ") + ")" + TestDevice.parameters
      ],
      "signature": ["sig1=:" + String(repeating: "A", count: 16_000) + ":"],
    ]
    for name in names { fields[name] = [String(repeating: "%2f", count: 160)] }
    let start = ContinuousClock.now
    #expect(!Self.diagnose(view(fields: fields)).verifies)
    #expect(ContinuousClock.now - start < .seconds(1))
  }
}
