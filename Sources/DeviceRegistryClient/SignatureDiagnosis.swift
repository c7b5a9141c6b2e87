public import Foundation

/// Why the signature of a request does not verify.
public struct SignatureDiagnosis: Decodable, Hashable, Sendable {
  /// Whether form, digest and signature are accepted.
  public let verifies: Bool
  /// What the device has to sign; nil if the fields of the signature cannot be read.
  public let signatureBase: String?
  /// First those with which the signature would verify.
  public let findings: [Finding]

  public struct Finding: Decodable, Hashable, Sendable {
    /// A header field, a parameter or a component of the signature, `base` or `secret`.
    public let part: String
    public let message: String
    /// Whether the device's secret signed the request, apart from this.
    public let verifiesIfChanged: Bool

    enum CodingKeys: String, CodingKey {
      case part, message
      case verifiesIfChanged = "verifies_if_changed"
    }
  }

  enum CodingKeys: String, CodingKey {
    case verifies, findings
    case signatureBase = "signature_base"
  }
}

extension OwnerClient {
  /// Says why the signature of a request of the device does not verify. The registry stores nothing of it.
  ///
  /// - Parameters:
  ///   - target: path and query.
  ///   - fields: name and value of each header field.
  public func diagnose(
    device id: String, method: String, target: String, fields: [(name: String, value: String)],
    body: Data? = nil
  ) async throws(RegistryClientError) -> SignatureDiagnosis {
    struct Body: Encodable {
      let method: String
      let target: String
      let headers: [[String]]
      let body_base64: Data?
    }
    let request = Body(
      method: method, target: target, headers: fields.map { [$0.name, $0.value] }, body_base64: body)
    return try await perform(
      OwnerRequest(
        "POST", "/api/v1/devices/\(try String.pathID(id))/diagnose", body: try .json(request, "fields")))
  }
}
