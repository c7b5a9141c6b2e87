internal import Encoding
internal import Endpoints
internal import HTTP
internal import Registry

// OAuth 2.0 client credentials (RFC 6749, section 4.4), for devices.

extension API {
  /// Throws `invalidClient`, `tooManyRequests`.
  func issueToken(_ caller: Anyone, _ input: TokenRequest) async throws(Problem) -> IssuedTokenAnswer {
    do throws(RegistryError) {
      let issued = try await services.tokens.issueToken(
        to: input.deviceID, secret: input.secret, from: caller.address, requestID: caller.requestID)
      caller.proved = input.deviceID.map(ProvedCaller.device)
      return IssuedTokenAnswer(issued: issued)
    } catch {
      throw error == .signatureInvalid ? .invalidClient : Problem(error)
    }
  }
}

/// `grant_type=client_credentials` with the device's id and secret, in the form or as HTTP Basic
/// (RFC 6749, section 2.3.1).
struct TokenRequest: Input {
  /// Nil for a malformed id.
  let deviceID: DeviceID?
  /// Nil for a malformed secret.
  let secret: DeviceSecret?

  static let description = InputDescription(
    body: Schema(
      name: "TokenRequest",
      definition: [
        "type": "object",
        "required": ["grant_type"],
        "properties": [
          "grant_type": ["type": "string", "const": "client_credentials"],
          "client_id": ["type": "string", "description": "The device's id; omit it with HTTP Basic."],
          "client_secret": ["type": "string", "description": "The device's secret; omit it with HTTP Basic."],
        ],
      ]), bodyType: Form.mediaType)

  init(of call: Call) throws(Problem) {
    let form = try Form(of: call)
    guard let grantType = try form.value(of: "grant_type") else {
      throw .invalidRequest("grant_type is missing.")
    }
    guard grantType == "client_credentials" else { throw .unsupportedGrantType }
    let inForm = (id: try form.value(of: "client_id"), secret: try form.value(of: "client_secret"))
    let inHeader = try Self.basicCredentials(of: call.request)
    guard inHeader == nil || inForm.secret == nil && (inForm.id == nil || inForm.id == inHeader?.id) else {
      throw .invalidRequest("Send the client's id and secret in the form or as HTTP Basic, not both.")
    }
    guard let id = inHeader?.id ?? inForm.id, var text = inHeader?.secret ?? inForm.secret else {
      throw .invalidClient
    }
    deviceID = DeviceID(id)
    secret = text.withUTF8 { DeviceSecret(presented: $0) }
  }

  /// The form-encoded id and secret of `Authorization: Basic` (RFC 7617); nil if there is no `Authorization`.
  private static func basicCredentials(of request: Request) throws(Problem) -> (id: String, secret: String)? {
    guard request.value(of: "authorization") != nil else { return nil }
    let credentials: String?
    do { credentials = try request.credentials(of: "basic") } catch {
      throw .invalidRequest("There is more than one Authorization field.")
    }
    guard let text = credentials, let decoded = Base64.decode(text) else { throw .invalidClient }
    let parts = decoded.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
      .map { Form.decode(String(decoding: $0, as: UTF8.self)[...]) }
    guard parts.count == 2, let id = parts[0], let secret = parts[1] else { throw .invalidClient }
    return (id, secret)
  }
}

/// `application/x-www-form-urlencoded` (RFC 6749, appendix B).
private struct Form {
  static let mediaType = "application/x-www-form-urlencoded"
  private let parameters: [(name: String?, value: String?)]

  init(of call: Call) throws(Problem) {
    guard call.request.value(of: "content-encoding") == nil else { throw .unsupportedContentEncoding }
    let type = call.request.value(of: "content-type") ?? ""
    let essence = type.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
    guard essence == Self.mediaType else { throw .notAForm }
    parameters = String(decoding: call.content, as: UTF8.self).split(separator: "&").map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (Self.decode(parts[0]), parts.count == 2 ? Self.decode(parts[1]) : "")
    }
  }

  /// Nil if the parameter is absent or empty (RFC 6749, section 3.2). Throws if it is repeated or malformed.
  func value(of name: String) throws(Problem) -> String? {
    let found = parameters.filter { $0.name == name }
    guard found.count < 2 else { throw .invalidRequest("\(name) is given twice.") }
    guard let parameter = found.first else { return nil }
    guard let value = parameter.value else { throw .invalidRequest("\(name) is not percent-encoded UTF-8.") }
    return value.isEmpty ? nil : value
  }

  /// Nil for a malformed encoding.
  static func decode(_ text: Substring) -> String? {
    PercentEncoding.decode(Substring(String(text.map { $0 == "+" ? " " : $0 })))
  }
}

/// 200 with a token.
struct IssuedTokenAnswer: Answer, JSONObject {
  let issued: TokenService.IssuedToken

  static let name: String? = "AccessToken"
  static let isSensitive = true

  static func describe(_ members: inout some Members<Self>) {
    members.add("access_token") { $0.issued.token }
    members.add("token_type", ["const": "Bearer"]) { _ in "Bearer" }
    members.add("expires_in", ["minimum": 0, "maximum": .integer(Int64(TokenService.lifetimeSeconds))]) {
      Int64($0.issued.expiresInSeconds)
    }
  }

  static var description: SuccessDescription {
    SuccessDescription(
      status: 200, meaning: "The token. Only this answer holds it.", Self.self,
      headers: [.pragma] + HeaderDescription.rateLimit)
  }

  func response() -> Response {
    let response = Response(
      status: 200, fields: [("Pragma", "no-cache")], contentType: "application/json", body: text(capacity: 256))
    if let standing = issued.standing { response.tell(standing) }
    return response
  }
}
