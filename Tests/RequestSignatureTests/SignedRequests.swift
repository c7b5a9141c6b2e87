import Testing

@testable import RequestSignature

/// A device that signs any request, valid or not.
struct TestDevice {
  static let id = "0190a5c2-7d3e-7b1a-8c4d-5e6f70819203"
  static let created: Int64 = 1_893_456_000
  static let nonce = "abcDEF012-_xyz"
  static let secret = String(repeating: "0123456789abcdef", count: 4)
  static let keys = Array(secret.utf8).withUnsafeBufferPointer { DeviceKeys(secret: $0) }
  static let storedKey = bytes(hex: "4107b9d3ab36c91c612d6e879224ce4a699034cb6ed78320a1031fc13cbad045")
  static let serverKey = bytes(hex: "2b014d1281fbc98c418d5c2231e562b5e623f7248b385031f967ec49ed60c25e")

  static let parameters = #";created=\#(created);keyid="\#(id)";nonce="\#(nonce)""#

  /// A member of `Signature-Input` that covers these components.
  static func member(_ components: String..., parameters: String = parameters) -> String {
    "(" + components.map { "\"\($0)\"" }.joined(separator: " ") + ")" + parameters
  }
}

/// A request with these fields, as a server sees it.
func view(
  _ method: String = "GET", _ target: String = "/api/v1/device/poll", fields: Fields, body: String = ""
) -> RequestView {
  RequestView(
    method: method, target: target, scheme: "http", authority: "localhost:8000", body: Array(body.utf8)
  ) { fields[$0] ?? [] }
}

/// The fields of a request whose `Signature` has the label and any 32 bytes.
func fields(input: String, label: String = "sig", and others: Fields = [:]) -> Fields {
  let any = "=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
  return others.merging(["signature-input": [input], "signature": [label + any]]) { $1 }
}

/// Whether a server accepts the request's form, digest and signature.
func isAccepted(_ request: RequestView, storedKey: [UInt8]) -> Bool {
  guard let proof = try? RequestProof(request) else { return false }
  return proof.hasDigest(of: request.body) && proof.verify(storedKey: storedKey)
}

/// Why a request is not well formed.
func malformation(_ request: RequestView) -> Malformation? {
  do {
    _ = try RequestProof(request)
    return nil
  } catch { return error }
}
