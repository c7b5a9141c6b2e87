internal import Encoding
internal import Endpoints
internal import Registry
internal import RequestSignature

// Why a signature of a device does not verify.

extension API {
  /// Throws `deviceNotFound`, `notOwner`.
  func diagnose(
    _ owner: Owner, _ input: PathAndBody<DevicePath, CapturedRequest>
  ) async throws(RegistryError) -> OK<Diagnosis> {
    let (id, request) = (input.path.id, input.body.view(origin))
    let diagnoses = try await services.devices.storedKeys(of: id, owner: owner.clientID).map {
      SignatureDiagnosis(of: request, deviceID: id.description, storedKey: $0)
    }
    let best =
      diagnoses.first { $0.verifies } ?? diagnoses.first { $0.findings.contains(where: \.verifiesIfChanged) }
    return OK(value: Diagnosis(diagnosis: best ?? diagnoses[0]))
  }
}

/// The body that holds a request, as a device sent it or is about to send it.
struct CapturedRequest: JSONInput {
  let method: String
  let target: String
  let headers: [[String]]
  let content: [UInt8]

  /// Characters of a target, and of a header field: more would be refused before the signature is read.
  private static let maximumLength = 16 * 1024
  private static let maximumHeaders = 64

  static let body = JSONBody(
    "DiagnoseInput",
    .object(
      Member("method", .text(atMost: 32), "As it is sent."),
      Member("target", .text(atMost: maximumLength), "Path and query, as they are sent."),
      Member(
        "headers", .array(of: .array(of: .text(atMost: maximumLength), 2...2), 0...maximumHeaders),
        "Name and value of each header field."),
      .optional(
        "body_base64",
        Rule<[UInt8]>.text(
          ["type": "string", "contentEncoding": "base64"], message: "must be base64, with padding"
        ) {
          (text: String) -> [UInt8]? in Base64.decode(text)
        }, "The body, in base64.")
    ) { CapturedRequest(method: $0, target: $1, headers: $2, content: $3 ?? []) })

  /// The request, at the origin that signatures cover.
  func view(_ origin: SignatureOrigin) -> RequestView {
    let fields = headers.map { (name: $0[0].lowercased(), value: $0[1]) }
    let host = fields.first { $0.name == "host" }?.value
    return RequestView(
      method: method, target: target, scheme: origin.scheme, authority: origin.authority ?? host ?? "",
      body: content
    ) { name in fields.filter { $0.name == name }.map(\.value) }
  }
}

/// What is wrong with a signature.
struct Diagnosis: JSONObject {
  let diagnosis: SignatureDiagnosis

  static let name: String? = "Diagnosis"

  static func describe(_ members: inout some Members<Self>) {
    members.add(
      "verifies",
      ["description": "Whether form, digest and signature are accepted. Times and the nonce are not tested."]
    ) { $0.diagnosis.verifies }
    members.add(
      "signature_base",
      [
        "description":
          "What the device has to sign, for the components and parameters that it sent; null if they cannot be read."
      ]
    ) { $0.diagnosis.signatureBase }
    members.add("findings", ["description": "What is wrong; first that with which the signature would verify."])
    {
      $0.diagnosis.findings.map { ReportedFinding(finding: $0) }
    }
  }
}

/// Something that is wrong with a signed request.
struct ReportedFinding: JSONObject {
  let finding: SignatureDiagnosis.Finding

  static func describe(_ members: inout some Members<Self>) {
    members.add(
      "part",
      ["description": "A header field, a parameter or a component of the signature, `base` or `secret`."]
    ) { $0.finding.part }
    members.add("message") { $0.finding.message }
    members.add(
      "verifies_if_changed", ["description": "Whether the device's secret signed the request, apart from this."]
    ) { $0.finding.verifiesIfChanged }
  }
}
