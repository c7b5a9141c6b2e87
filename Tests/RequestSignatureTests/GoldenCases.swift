import Foundation
import RequestSignature
import Testing

/// The project's own signature test cases, `request-signatures.json`. Another implementation of RFC 9421
/// generated their bases.
struct GoldenCase: Decodable, Sendable, CustomTestStringConvertible {
  let name: String
  let secret: String
  let client_key: String
  let stored_key: String
  let server_key: String
  let request: Request
  let response: Response

  struct Request: Decodable, Sendable {
    let method: String
    let url: String
    let body: String?
    let headers: [String: String]
    let signature_base: String
    let device_id: String
    let nonce: String
    let created: Int64
  }

  struct Response: Decodable, Sendable {
    let status: Int
    let body: String
    let headers: [String: String]
    let signature_base: String
  }

  var testDescription: String { name }

  static let all: [GoldenCase] = {
    struct File: Decodable { let cases: [GoldenCase] }
    let data = Data(PackageResources.request_signatures_json)
    return try! JSONDecoder().decode(File.self, from: data).cases
  }()

  static func named(_ name: String) -> GoldenCase { all.first { $0.name == name }! }
}

/// A message's fields, by name in lower case, each a list of lines.
typealias Fields = [String: [String]]

extension GoldenCase {
  var storedKey: [UInt8] { bytes(hex: stored_key) }
  var keys: DeviceKeys { Array(secret.utf8).withUnsafeBufferPointer { DeviceKeys(secret: $0) } }

  var fields: Fields { request.headers.mapValues { [$0] } }

  func requestView(fields: Fields? = nil) -> RequestView {
    let fields = fields ?? self.fields
    let origin = "http://localhost:8000"
    return RequestView(
      method: request.method, target: String(request.url.dropFirst(origin.count)), scheme: "http",
      authority: "localhost:8000", body: Array((request.body ?? "").utf8)
    ) { fields[$0] ?? [] }
  }

  func responseView(fields: Fields? = nil) -> ResponseView {
    let fields = fields ?? response.headers.mapValues { [$0] }
    return ResponseView(status: response.status, body: Array(response.body.utf8)) { fields[$0] ?? [] }
  }

  var responseVerifier: ResponseVerifier {
    ResponseVerifier(keyID: request.device_id, nonce: request.nonce, keys: keys)
  }
}

/// Decodes hexadecimal digits.
func bytes(hex: String) -> [UInt8] {
  let digits = hex.compactMap(\.hexDigitValue)
  precondition(digits.count == hex.count && digits.count.isMultiple(of: 2))
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
