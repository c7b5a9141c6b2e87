import Encoding
import TestSupport
import Testing

@testable import RequestSignature

/// A signed request with everything: query, body, a covered field, a tag, an expiry.
private struct SignedRequest: Sendable {
  var method = "POST"
  var target = "/api/v1/device/ack?x=%20y"
  var body = Array(#"{"acks":[]}"#.utf8)
  var fields: Fields = ["x-terminal": ["MetaTrader 5"], "content-type": ["application/json"]]

  init() throws {
    let signer = try RequestSigner(keyID: TestDevice.id, keys: TestDevice.keys)
    let signed = try signer.sign(
      view, nonce: TestDevice.nonce, created: TestDevice.created, expires: TestDevice.created + 60,
      tag: "ea v1",
      covering: [.authority, .field("x-terminal")])
    for line in signed.lines { fields[line.name.lowercased()] = [line.value] }
  }

  var view: RequestView {
    RequestView(method: method, target: target, scheme: "http", authority: "localhost:8000", body: body) {
      fields[$0] ?? []
    }
  }

  var isAccepted: Bool { RequestSignatureTests.isAccepted(view, storedKey: TestDevice.storedKey) }

  func bytes(of field: String) -> [UInt8] { Array(fields[field]![0].utf8) }

  func isAccepted(with bytes: [UInt8], in field: String) -> Bool {
    var tampered = self
    tampered.fields[field] = [String(decoding: bytes, as: UTF8.self)]
    return tampered.isAccepted
  }
}

/// Every text that differs from this one in one byte.
private func oneByteChanged(_ bytes: [UInt8]) -> some Sequence<[UInt8]> {
  bytes.indices.lazy.flatMap { index in
    (1...UInt8.max).lazy.map { difference in
      var changed = bytes
      changed[index] ^= difference
      return changed
    }
  }
}

@Suite("Tampering with a signed request")
struct TamperingTests {
  @Test
  func `The request as it was signed is accepted`() throws {
    #expect(try SignedRequest().isAccepted)
  }

  @Test(arguments: ["signature-input", "signature", "content-digest", "x-terminal"])
  func `No byte of a covered field or of the signature can be another`(field: String) async throws {
    let request = try SignedRequest()
    let accepted = await onOwnThread {
      oneByteChanged(request.bytes(of: field)).filter { request.isAccepted(with: $0, in: field) }
    }
    #expect(accepted.map { String(decoding: $0, as: UTF8.self) } == [])
  }

  @Test(arguments: ["signature-input", "signature", "content-digest", "x-terminal"])
  func `No byte can be left out`(field: String) throws {
    let request = try SignedRequest()
    let bytes = request.bytes(of: field)
    for index in bytes.indices {
      var shorter = bytes
      shorter.remove(at: index)
      #expect(!request.isAccepted(with: shorter, in: field))
    }
  }

  @Test
  func `No byte of method, target and body can be another`() async throws {
    let request = try SignedRequest()
    let accepted = await onOwnThread {
      func accepted(_ part: [UInt8], _ change: (inout SignedRequest, [UInt8]) -> Void) -> [[UInt8]] {
        oneByteChanged(part).filter { bytes in
          var tampered = request
          change(&tampered, bytes)
          return tampered.isAccepted
        }
      }
      return accepted(Array(request.target.utf8)) { $0.target = String(decoding: $1, as: UTF8.self) }
        + accepted(Array(request.method.utf8)) { $0.method = String(decoding: $1, as: UTF8.self) }
        + accepted(request.body) { $0.body = $1 }
    }
    #expect(accepted == [])
    var tampered = request
    tampered.body = []
    #expect(!tampered.isAccepted)
    tampered.body = request.body + [0x20]
    #expect(!tampered.isAccepted)
  }

  /// Places where the grammar allows a byte without meaning: white space around the field; spaces in the list
  /// and after a semicolon; zeros before a number.
  @Test
  func `Only bytes without a meaning can be put into Signature-Input`() async throws {
    let request = try SignedRequest()
    let bytes = request.bytes(of: "signature-input")
    let listStart = bytes.firstIndex(of: UInt8(ascii: "("))!
    let listEnd = bytes.firstIndex(of: UInt8(ascii: ")"))!
    let surprises = await surprises(inserting: "signature-input", of: request) { byte, index in
      let before = index > 0 ? bytes[index - 1] : nil
      let isAtEnd = index == 0 || index == bytes.count
      let isBetweenItems =
        index > listStart && index <= listEnd
        && (before == UInt8(ascii: "(") || before == UInt8(ascii: " ") || bytes[index] == UInt8(ascii: " ")
          || index == listEnd)
      let isSpaceFree = isAtEnd || isBetweenItems || before == UInt8(ascii: ";")
      let isNumber = before == UInt8(ascii: "=") && bytes[index].isDigit
      return byte == UInt8(ascii: " ") && isSpaceFree || byte == UInt8(ascii: "\t") && isAtEnd
        || byte == UInt8(ascii: "0") && isNumber
    }
    #expect(surprises == [])
  }

  @Test
  func `Only white space can be put around Signature, and nothing into it`() async throws {
    let request = try SignedRequest()
    let end = request.bytes(of: "signature").count
    let surprises = await surprises(inserting: "signature", of: request) { byte, index in
      (index == 0 || index == end) && byte.isBlank
    }
    #expect(surprises == [])
  }

  /// Inserts each byte at each place of a field. Returns the places where a byte with meaning is accepted, or
  /// one without is rejected.
  private func surprises(
    inserting field: String, of request: SignedRequest,
    hasNoMeaning: @escaping @Sendable (_ byte: UInt8, _ index: Int) -> Bool
  ) async -> [String] {
    await onOwnThread {
      let bytes = request.bytes(of: field)
      return (0...bytes.count).flatMap { index in
        (UInt8.min...UInt8.max).compactMap { byte in
          var longer = bytes
          longer.insert(byte, at: index)
          let isAccepted = request.isAccepted(with: longer, in: field)
          guard isAccepted != hasNoMeaning(byte, index) else { return nil }
          return "byte \(byte) at \(index): accepted is \(isAccepted)"
        }
      }
    }
  }

  @Test
  func `The label is not signed: it may be another in both fields`() throws {
    var request = try SignedRequest()
    for field in ["signature-input", "signature"] {
      request.fields[field] = [request.fields[field]![0].replacing("sig1=", with: "other=")]
    }
    #expect(request.isAccepted)
  }

  @Test
  func `A field that is not covered may be another`() throws {
    var request = try SignedRequest()
    request.fields["content-type"] = ["text/plain"]
    #expect(request.isAccepted)
  }

  @Test
  func `Another authority is refused where it is covered`() throws {
    var request = try SignedRequest().view
    request.authority = "LOCALHOST:8000"
    #expect(isAccepted(request, storedKey: TestDevice.storedKey))
    request.authority = "localhost:8001"
    #expect(!isAccepted(request, storedKey: TestDevice.storedKey))
  }

  @Test
  func `No byte of the stored key can be another`() async throws {
    let request = try SignedRequest()
    let accepted = await onOwnThread {
      oneByteChanged(TestDevice.storedKey).filter { isAccepted(request.view, storedKey: $0) }
    }
    #expect(accepted == [])
    #expect(!isAccepted(request.view, storedKey: []))
    #expect(!isAccepted(request.view, storedKey: TestDevice.storedKey + [0]))
  }
}

@Suite("Random mutations")
struct MutationTests {
  private static let mutations = 50_000
  private static let pieces = [
    "\"", "\\", "(", ")", ";", "=", ":", ",", " ", "\t", "?", "@", "%", "*", "-", ".", "\0", "\n", "\u{FF}",
    "sig1=",
    ";created=1", ";keyid=\"", "nonce", "\"@query\"", "\"@status\"", "99999999999999999", ":AA==:", "%\"%c3",
    "@-1", "?1",
  ].map { Array($0.utf8) }

  /// An accepted mutation must mean the same as the signed request.
  @Test
  func `Never crash, and never make a request that says something else`() async throws {
    let original = try SignedRequest()
    let accepted = await onOwnThread { Self.acceptedMutations(of: original) }
    #expect(!accepted.isEmpty && accepted.count < Self.mutations / 10)
    for proof in accepted {
      #expect(proof.keyID == TestDevice.id && proof.nonce == TestDevice.nonce)
      #expect(proof.created == TestDevice.created && proof.expires == TestDevice.created + 60)
      #expect(proof.covered.count == 6 && proof.tag == "ea v1")
    }
  }

  private static func acceptedMutations(of original: SignedRequest) -> [RequestProof] {
    var random = SeededGenerator(seed: 9421)
    let names = ["signature-input", "signature", "content-digest"]
    var accepted: [RequestProof] = []
    var request = original
    for mutation in 0..<mutations {
      if mutation.isMultiple(of: 5) { request = original }
      let name = names.randomElement(using: &random)!
      var bytes = request.bytes(of: name)
      mutate(&bytes, with: &random)
      request.fields[name] = [String(decoding: bytes, as: UTF8.self)]
      guard let proof = try? RequestProof(request.view) else { continue }
      guard proof.hasDigest(of: request.body), proof.verify(storedKey: TestDevice.storedKey) else { continue }
      accepted.append(proof)
    }
    return accepted
  }

  private static func mutate(_ bytes: inout [UInt8], with random: inout SeededGenerator) {
    let index = Int.random(in: 0...bytes.count, using: &random)
    switch UInt8.random(in: 0..<5, using: &random) {
    case 0 where index < bytes.count: bytes[index] = UInt8.random(in: 0...255, using: &random)
    case 1 where index < bytes.count: bytes.remove(at: index)
    case 2: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 0..<9, using: &random)))
    case 3:
      let slice = bytes[index..<min(bytes.count, index + Int.random(in: 0..<40, using: &random))]
      bytes.insert(contentsOf: Array(slice), at: Int.random(in: 0...bytes.count, using: &random))
    default: bytes.insert(contentsOf: pieces.randomElement(using: &random)!, at: index)
    }
  }
}
