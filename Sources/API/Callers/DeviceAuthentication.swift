internal import Endpoints
internal import HTTP
internal import Registry
internal import RequestSignature

/// The origin that signatures cover. A request does not state it reliably.
public struct SignatureOrigin: Hashable, Sendable {
  /// `http` or `https`.
  let scheme: String
  /// Nil to use the request's `Host`.
  let authority: String?

  /// - Parameters:
  ///   - scheme: the public URL's, or the listener's if there is no public URL.
  ///   - authority: the public URL's; nil if there is none.
  public init(scheme: String, authority: String? = nil) {
    self.scheme = scheme
    self.authority = authority
  }
}

extension API {
  /// Authenticates a device. If the request has a signature, its token is ignored.
  func authenticateDevice(_ request: Request) async throws(Problem) -> AuthenticatedDevice {
    if request.fields.contains("signature-input") || request.fields.contains("signature") {
      return try await authenticateSignature(of: request)
    }
    guard let token = try request.bearerToken() else { throw .signatureMissing }
    guard token.hasPrefix(AccessToken.prefix) else {
      throw .tokenInvalid(
        "it is not a device's access token, which begins with \(AccessToken.prefix); this path needs one, or a "
          + "signature, and does not take the JWT of an owner")
    }
    do throws(RegistryError) {
      return AuthenticatedDevice(
        try await services.authentication.authenticate(
          token: token, from: request.caller, requestID: request.id))
    } catch {
      throw Problem(error)
    }
  }

  /// Tests in the order of RFC 9421, section 3.2: fields, timeliness, digest of the content, signature, nonce.
  private func authenticateSignature(of request: Request) async throws(Problem) -> AuthenticatedDevice {
    // The signature covers the content.
    try await request.receiveWholeContent()
    let proof = try readSignature(of: request)
    try testTimeliness(of: proof)
    guard proof.hasDigest(of: request.content) else { throw .otherDigest }
    guard let id = DeviceID(proof.keyID) else { throw Problem(RegistryError.signatureInvalid) }
    do throws(RegistryError) {
      let session = try await services.authentication.authenticate(
        id, nonce: proof.nonce, created: proof.created, from: request.caller, requestID: request.id
      ) {
        proof.verify(storedKey: $0)
      }
      // An answer is signed once the nonce is stored.
      return AuthenticatedDevice(session, signed: session.isAdmitted ? (proof.keyID, proof.nonce) : nil)
    } catch {
      throw Problem(error)
    }
  }

  private func readSignature(of request: Request) throws(Problem) -> RequestProof {
    let view = RequestView(
      method: request.method, target: request.target, scheme: origin.scheme,
      authority: origin.authority ?? request.value(of: "host") ?? "", body: request.content,
      value: { [fields = request.fields] in fields.combinedValue(of: $0) })
    let proof: RequestProof?
    do throws(Malformation) { proof = try RequestProof(view) } catch { throw .signatureMalformed("\(error)") }
    guard let proof else { throw .signatureMissing }
    return proof
  }

  private func testTimeliness(of proof: RequestProof) throws(Problem) {
    let now = services.clock.now()
    let timeliness = proof.timeliness(
      at: now.secondsSince1970, skewSeconds: Int64(services.authentication.skewSeconds),
      leadSeconds: Int64(AuthenticationService.maximumLeadSeconds))
    guard timeliness == .timely else { throw .clockSkew(timeliness, serverTime: now) }
  }
}

extension Timestamp {
  /// Whole seconds, rounded down.
  var secondsSince1970: Int64 { Int64((Double(millisecondsSince1970) / 1000).rounded(.down)) }
}
