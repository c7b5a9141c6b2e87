internal import HTTP
internal import Registry
internal import RequestSignature

/// What a signature covers of a request that the request itself does not say for sure.
public struct SignatureOrigin: Hashable, Sendable {
  /// `http` or `https`.
  let scheme: String
  /// Nil: that of the request's `Host`.
  let authority: String?

  /// - Parameters:
  ///   - scheme: that of the public URL where there is one, else the listener's.
  ///   - authority: that of the public URL; nil where there is none.
  public init(scheme: String, authority: String? = nil) {
    self.scheme = scheme
    self.authority = authority
  }
}

/// A device that proved who it is: by a signature, or by a token.
///
/// A class, because it is handed from step to step, and each has room for it for as long as it waits.
final class AuthenticatedDevice: API.Caller, Sendable {
  static let access = Access.device

  let session: DeviceSession
  var proved: ProvedCaller? { .device(session.deviceID) }
  /// What the answer's signature names of the request's; nil where there was a token.
  private let signed: (keyID: String, nonce: String)?

  /// Where there is a signature, it alone decides.
  init(of request: Request, at api: API) async throws(Problem) {
    let proof = try await Self.proof(of: request, at: api)
    signed = proof.map { ($0.keyID, $0.nonce) }
    if let proof {
      session = try await Self.session(of: request, provedBy: proof, at: api)
    } else if let token = try request.bearerToken() {
      session = try await Self.session(of: token, from: request.caller, at: api)
    } else {
      throw .signatureMissing
    }
  }

  func admit(at api: API) async throws(RegistryError) { try await api.services.authentication.admit(session) }

  func noteUnread(at api: API) { api.services.authentication.noteCall(by: session) }

  func count(at api: API) -> RateLimit.Standing? { api.services.limits.count(session.deviceID) }

  /// A device that is gone by now is none.
  func problem(_ error: RegistryError) -> Problem {
    Problem(error == .deviceNotFound ? session.ended : error)
  }

  /// The answer to a signed request is signed, of whatever status, and nobody on the way may change it.
  func seal(_ response: Response, at api: API) {
    guard let signed, let serverKey = session.serverKey else { return }
    let body = response.body?.withBytes { Array($0) } ?? []
    let signature = ResponseSigner.sign(
      status: response.status, body: body, created: api.services.clock.now().secondsSince1970,
      keyID: signed.keyID, nonce: signed.nonce, serverKey: serverKey)
    response.cacheControl = "no-store, no-transform"
    if let digest = signature.contentDigest { response.fields.append(("Content-Digest", digest)) }
    response.fields.append(("Signature-Input", signature.signatureInput))
    response.fields.append(("Signature", signature.signature))
  }

  // MARK: A signature

  /// Nil where there is none.
  private static func proof(of request: Request, at api: API) async throws(Problem) -> RequestProof? {
    guard request.isSigned else { return nil }
    // The signature covers it.
    try await request.receiveWholeContent()
    let view = RequestView(
      method: request.method, target: request.target, scheme: api.origin.scheme,
      authority: api.origin.authority ?? request.value(of: "host") ?? "", body: request.content,
      value: { [fields = request.fields] in fields.combinedValue(of: $0) })
    do throws(Malformation) { return try RequestProof(view) } catch { throw .signatureMalformed("\(error)") }
  }

  /// Clock, digest, signature, replay, in this order.
  private static func session(
    of request: Request, provedBy proof: RequestProof, at api: API
  ) async throws(Problem) -> DeviceSession {
    let authentication = api.services.authentication
    let now = api.services.clock.now()
    let timeliness = proof.timeliness(
      at: now.secondsSince1970, skewSeconds: Int64(authentication.skewSeconds),
      leadSeconds: Int64(AuthenticationService.maximumLeadSeconds))
    guard timeliness == .timely else { throw .clockSkew(timeliness, serverTime: now) }
    guard proof.hasDigest(of: request.content), let id = DeviceID(proof.keyID) else {
      throw Problem(.signatureInvalid)
    }
    do throws(RegistryError) {
      return try await authentication.authenticate(
        id, nonce: proof.nonce, created: proof.created, from: request.caller
      ) {
        proof.verify(storedKey: $0)
      }
    } catch {
      throw Problem(error)
    }
  }

  // MARK: A token

  private static func session(
    of token: String, from address: CallerAddress, at api: API
  ) async throws(Problem) -> DeviceSession {
    guard token.hasPrefix(AccessToken.prefix) else {
      throw .tokenInvalid(
        "it is not a device's access token, which begins with \(AccessToken.prefix); this path needs one, or a "
          + "signature, and does not take the JWT of an owner")
    }
    do throws(RegistryError) {
      return try await api.services.authentication.authenticate(token: token, from: address)
    } catch {
      throw Problem(error)
    }
  }
}

extension Request {
  /// Whether it has a signature, which then decides alone.
  fileprivate var isSigned: Bool {
    fields.contains("signature-input") || fields.contains("signature")
  }

  /// The content; `receiveWholeContent` has seen that it is whole.
  var content: [UInt8] {
    if case .complete(let bytes) = body { return bytes }
    return []
  }

  func testSize() throws(Problem) {
    if case .tooLarge(let maximumBytes) = body { throw .contentTooLarge(maximumBytes: maximumBytes) }
  }

  /// Waits for the content, where the client waits to be told that it is wanted, and tests its size.
  func receiveWholeContent() async throws(Problem) {
    if case .expected = body { await receiveContent() }
    try testSize()
    if case .lost = body { throw .contentLost }
  }
}

extension Timestamp {
  /// Whole seconds, rounded down.
  var secondsSince1970: Int64 { Int64((Double(millisecondsSince1970) / 1000).rounded(.down)) }
}
