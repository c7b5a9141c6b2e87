package import API
package import JSONWebToken
package import Registry

/// Authenticates owners with JSON Web Tokens.
package struct JWTVerifier: OwnerTokenVerifier {
  let verifier: TokenVerifier

  package init(_ verifier: TokenVerifier) { self.verifier = verifier }

  package var keyGeneration: Int { verifier.keyGeneration }

  package func verify(_ token: String, at now: Timestamp) async throws(OwnerTokenError) -> OwnerToken {
    let verified: VerifiedToken
    do throws(TokenError) {
      verified = try await verifier.verify(token, nowMilliseconds: now.millisecondsSince1970)
    } catch .keysUnavailable {
      throw .unavailable(cause: TokenError.keysUnavailable.description)
    } catch {
      throw .invalid(reason: error.description)
    }
    guard let clientID = ClientID(verified.clientID ?? verified.subject) else {
      throw .invalid(reason: "the token's \(verified.clientID == nil ? "sub" : "client_id") is not a client id")
    }
    // Events name the subject. Unicode's control characters are U+0000 to U+001F and U+007F to U+009F.
    guard verified.subject.utf8.count <= OwnerToken.maximumSubjectLength,
      !verified.subject.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      throw .invalid(
        reason: "the token's sub has more than \(OwnerToken.maximumSubjectLength) bytes, or control characters")
    }
    return OwnerToken(
      subject: verified.subject, clientID: clientID, scopes: verified.scopes,
      expiresAt: Timestamp(millisecondsSince1970: verified.expiresAtMilliseconds))
  }
}
