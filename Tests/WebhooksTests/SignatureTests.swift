import Encoding
import Foundation
import Registry
import TestSupport
import Testing

@testable import Webhooks

@Suite("The signature of a delivery")
struct SignatureTests {
  private let body = #"{"type": "device.revoked", "reason": "Zoë's \u0000"}"#
  /// Verification uses the system's clock.
  private let now = TestClock().now()

  @Test
  func `is verified by the library of Standard Webhooks, and no other is`() async throws {
    let secret = try testSecret((0..<32).map { $0 &* 7 })
    let other = try testSecret(Array(repeating: 9, count: 32))
    let valid = secret.fields(of: body, at: now)
    var cases: [(secret: String, fields: [String: String], body: String, isValid: Bool)] = [
      (secret.text, valid, body, true),
      (other.text, valid, body, false),
      (secret.text, valid, body + " ", false),
      (secret.text, secret.fields(of: body, at: now + -600_000), body, false),
    ]
    for name in valid.keys {
      var changed = valid
      switch name {
      case "webhook-timestamp": changed[name] = String(Int(valid[name]!)! + 1)
      case "webhook-signature": changed[name] = other.fields(of: body, at: now)[name]
      default: changed[name] = valid[name]! + "x"
      }
      cases.append((secret.text, changed, body, false))
    }
    let verdicts = try await StandardWebhooks.verify(cases.map { ($0.secret, $0.fields, $0.body) })
    #expect(verdicts.map { $0 == "valid" } == cases.map(\.isValid))
  }

  @Test
  func `is verified by the receiver that the program has, which says what is wrong`() throws {
    let secret = try testSecret(Array(1...32))
    let verifier = try #require(DeliveryVerifier(secret: secret.text))
    let valid = secret.fields(of: body, at: now)
    func verdict(_ change: (inout [String: String]) -> Void, body: [UInt8]? = nil, at time: Timestamp? = nil)
      -> DeliveryVerifier.Failure?
    {
      var fields = valid
      change(&fields)
      return verifier.failure(
        id: fields["webhook-id"], timestamp: fields["webhook-timestamp"],
        signature: fields["webhook-signature"],
        body: body ?? Array(self.body.utf8), now: time ?? now)
    }
    #expect(verdict { _ in } == nil)
    #expect(verdict({ $0["webhook-signature"] = "v2,AAAA v1,AAAA " + $0["webhook-signature"]! }) == nil)
    #expect(verdict { $0["webhook-id"] = nil } == .fieldMissing("webhook-id"))
    #expect(verdict { $0["webhook-timestamp"] = "soon" } == .timestampMalformed)
    #expect(verdict({ _ in }, at: now + 301_000) == .tooOld)
    #expect(verdict({ _ in }, at: now + -301_000) == .fromTheFuture)
    #expect(verdict { $0["webhook-id"]! += "x" } == .signatureWrong)
    #expect(verdict({ _ in }, body: []) == .signatureWrong)
    #expect(verdict { $0["webhook-signature"] = "v1," } == .signatureWrong)
    for wrong in ["", "whsec_", "whsec_!", String(secret.text.dropFirst()), "whsec_AAAA"] {
      #expect(DeliveryVerifier(secret: wrong) == nil)
    }
  }

  @Test
  func `has a secret that prints nothing`() throws {
    let secret = try testSecret(Array(1...32))
    #expect("\(secret)" == "<redacted>" && String(reflecting: secret) == "<redacted>")
    #expect(secret.text == "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")
  }
}

/// A secret whose key is known.
func testSecret(_ key: [UInt8]) throws -> WebhookSecret {
  try WebhookSecret(sealed: key, of: WebhookID(high: 1, low: 2), with: OpenSealer())
}

extension WebhookSecret {
  var text: String { withCharacters { String(decoding: $0, as: UTF8.self) } }

  /// The fields of a delivery.
  func fields(of body: String, at time: Timestamp) -> [String: String] {
    let id = EventID("2f3e9a57-8a1c-4c1e-9d0a-0f6f3f0b9d11")!
    return Dictionary(
      uniqueKeysWithValues: DeliverySignature.fields(id: id, at: time, body: Array(body.utf8), secret: self)
        .map { ($0.name, $0.value) })
  }
}

/// Keeps what it should seal as it is.
private struct OpenSealer: Sealer {
  let keys: [SealingKeyID] = []
  func seal(_ plain: UnsafeBufferPointer<UInt8>, for place: SealedPlace) -> [UInt8] { Array(plain) }
  func open(_ box: [UInt8], of place: SealedPlace) throws(RegistryError) -> SecretBytes {
    SecretBytes(count: box.count) { _ = $0.update(fromContentsOf: box) }
  }
}

/// The library of Standard Webhooks, from PyPI.
enum StandardWebhooks {
  /// `valid`, or what is wrong, for each delivery.
  static func verify(
    _ deliveries: [(secret: String, fields: [String: String], body: String)]
  ) async throws -> [String] {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let script = tests.appending(path: "../../scripts/standardwebhooks.sh").path
    let environment = ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=\(NSHomeDirectory())"]
    let python = try await Program.run([script], environment, executable: "/bin/bash")
    try #require(python.status == 0, "\(python.errors)")
    let directory = TemporaryDirectory()
    let lines = try deliveries.map { delivery in
      let object: [String: Any] = [
        "secret": delivery.secret, "headers": delivery.fields, "body": delivery.body,
      ]
      return String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
    }
    let input = "\(directory.path)/deliveries"
    try lines.joined(separator: "\n").write(toFile: input, atomically: true, encoding: .utf8)
    let command = #"exec "$0" "$1" <"$2""#
    let interpreter = python.output.trimmingCharacters(in: .newlines)
    let result = try await Program.run(
      ["-c", command, interpreter, tests.appending(path: "verify.py").path, input], environment,
      executable: "/bin/bash")
    try #require(result.status == 0, "\(result.errors)")
    return result.output.split(separator: "\n").map(String.init)
  }
}
