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
    guard let subject = ClientID(verified.subject) else {
      throw .invalid(reason: "the token's sub is not a client id")
    }
    return OwnerToken(
      subject: subject, scopes: verified.scopes,
      expiresAt: Timestamp(millisecondsSince1970: verified.expiresAtMilliseconds))
  }
}
