internal import Encoding
internal import Endpoints
internal import Glibc
internal import HTTP
internal import Registry

// OAuth 2.0 client credentials (RFC 6749, section 4.4), for devices.

extension API {
  /// The path of token requests. All its errors have the form of OAuth.
  static let tokenPath = "/api/v1/device/token"

  /// Throws `invalidClient`, which tells callers that know the secret the truth, and `tooManyRequests`.
  func issueToken(_ caller: Anyone, _ input: TokenRequest) async throws(Problem) -> IssuedTokenAnswer {
    do throws(RegistryError) {
      let issued = try await services.tokens.issueToken(
        to: input.deviceID, secret: input.secret, requestID: caller.requestID)
      caller.proved = input.deviceID.map(ProvedCaller.device)
      return IssuedTokenAnswer(issued: issued, standing: caller.standing)
    } catch {
      throw switch error {
      case .signatureInvalid: .invalidClient
      case .refused(let refusal): .invalidClient(refusal)
      default: Problem(error)
      }
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

  /// Wipes the content of the request.
  init(of call: Call) throws(Problem) {
    defer { call.request.wipeContent() }
    self = try Self.read(call)
  }

  private init(_ credentials: Credentials) throws(Problem) {
    guard !credentials.endsWithLineEnd else { throw .secretWithLineEnd }
    deviceID = DeviceID(utf8: credentials.id)
    secret = credentials.secret.withUnsafeBufferPointer { DeviceSecret(presented: $0) }
  }

  private static func read(_ call: Call) throws(Problem) -> TokenRequest {
    let form = try Form(of: call)
    guard let grantType = try form.value(of: "grant_type") else {
      throw .invalidRequest("grant_type is missing.")
    }
    guard grantType.elementsEqual("client_credentials".utf8) else { throw .unsupportedGrantType }
    var inForm = Credentials(
      id: try form.value(of: "client_id") ?? [], secret: try form.value(of: "client_secret") ?? [])
    defer { inForm.wipe() }
    guard call.request.fields.contains("authorization") else {
      guard !inForm.id.isEmpty, !inForm.secret.isEmpty else { throw .invalidClient }
      return try TokenRequest(inForm)
    }
    guard var inHeader = try Credentials(basic: call.request) else { throw .invalidClient }
    defer { inHeader.wipe() }
    guard inForm.secret.isEmpty, inForm.id.isEmpty || inForm.id == inHeader.id else {
      throw .invalidRequest("Send the client's id and secret in the form or as HTTP Basic, not both.")
    }
    return try TokenRequest(inHeader)
  }
}

/// What a client presents: UTF-8 text, which is untrusted. The owner wipes it.
private struct Credentials {
  let id: [UInt8]
  fileprivate(set) var secret: [UInt8]

  init(id: [UInt8], secret: [UInt8]) { (self.id, self.secret) = (id, secret) }

  /// The form-encoded id and secret of `Authorization: Basic` (RFC 7617); nil for other credentials.
  init?(basic request: Request) throws(Problem) {
    guard var field = request.fields.combinedValue(of: "authorization") else { return nil }
    defer { field.wipe() }
    // Neither schemes nor base64 have commas.
    guard !field.contains(UInt8(ascii: ",")) else {
      throw .invalidRequest("There is more than one Authorization field.")
    }
    let scheme = field.prefix { $0 != UInt8(ascii: " ") }
    let text = field.dropFirst(scheme.count).drop { $0 == UInt8(ascii: " ") }
    guard scheme.map(\.lowerCased).elementsEqual("basic".utf8),
      var decoded = text.withUnsafeBufferPointer({ Base64.decode($0) })
    else { return nil }
    defer { decoded.wipe() }
    guard let colon = decoded.firstIndex(of: UInt8(ascii: ":")),
      let id = PercentEncoding.decode(form: decoded[..<colon]),
      let secret = PercentEncoding.decode(form: decoded[(colon + 1)...])
    else { return nil }
    self.init(id: id, secret: secret)
  }

  /// Whether the secret is followed by what editors, `echo` and C strings add.
  var endsWithLineEnd: Bool {
    let rest = secret.reversed().drop { "\n\r\0".utf8.contains($0) }
    return rest.count == DeviceSecret.textLength && rest.count < secret.count
  }

  mutating func wipe() { secret.wipe() }
}

extension [UInt8] {
  /// Overwrites the bytes, of which there must be no copy.
  fileprivate mutating func wipe() {
    withUnsafeMutableBytes { if let start = $0.baseAddress { explicit_bzero(start, $0.count) } }
  }
}

/// `application/x-www-form-urlencoded` (RFC 6749, appendix B). Values are decoded when they are asked for.
private struct Form {
  static let mediaType = "application/x-www-form-urlencoded"
  private let content: [UInt8]

  init(of call: Call) throws(Problem) {
    guard call.request.value(of: "content-encoding") == nil else { throw .unsupportedContentEncoding }
    let type = call.request.value(of: "content-type") ?? ""
    let essence = type.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
    guard essence == Self.mediaType else { throw .notAForm }
    content = call.content
  }

  /// Nil if the parameter is absent or empty (RFC 6749, section 3.2). Throws if it is repeated or malformed.
  func value(of name: StaticString) throws(Problem) -> [UInt8]? {
    var found: ArraySlice<UInt8>?
    var rest = content[...]
    while !rest.isEmpty {
      let pair = rest.prefix { $0 != UInt8(ascii: "&") }
      rest = rest[pair.endIndex...].dropFirst()
      let encodedName = pair.prefix { $0 != UInt8(ascii: "=") }
      guard Self.isName(encodedName, name) else { continue }
      guard found == nil else { throw .invalidRequest("\(name) is given twice.") }
      found = pair[encodedName.endIndex...].dropFirst()
    }
    guard let found, !found.isEmpty else { return nil }
    guard let value = PercentEncoding.decode(form: found), String(validating: value, as: UTF8.self) != nil
    else {
      throw .invalidRequest("\(name) is not percent-encoded UTF-8.")
    }
    return value
  }

  private static func isName(_ encoded: ArraySlice<UInt8>, _ name: StaticString) -> Bool {
    if encoded.withUnsafeBufferPointer({ $0.equals(name) }) { return true }
    guard encoded.contains(UInt8(ascii: "%")), let decoded = PercentEncoding.decode(form: encoded) else {
      return false
    }
    return decoded.withUnsafeBufferPointer { $0.equals(name) }
  }
}

/// 200 with a token.
struct IssuedTokenAnswer: Answer, JSONObject {
  let issued: TokenService.IssuedToken
  /// The state of the calling address's rate limit; nil if there is no limit.
  let standing: RateLimit.Standing?

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
    if let standing { response.tell(standing) }
    return response
  }
}
