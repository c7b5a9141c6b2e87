package import API
internal import HTTPClient
package import JSONWebToken
package import Registry

/// JSON Web Tokens as proof of who an owner is.
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

extension WebClient {
  /// Fetches a JWK set. The bound of the set replaces that of the request.
  func keySet(_ request: Request) async throws(JWKSetError) -> FetchedKeySet {
    var request = request
    request.maximumBodyLength = JWKSet.maximumLength
    let answer: Answer
    do throws(FetchError) {
      answer = try await fetch(request)
    } catch .notHTTPS {
      throw .notHTTPS
    } catch .tooLarge {
      throw .tooLarge
    } catch {
      throw .notFetched(reason: error.description)
    }
    return try FetchedKeySet(
      status: answer.status, body: answer.body, cacheControl: answer.values(of: "Cache-Control"),
      ageSeconds: answer.values(of: "Age").first.flatMap { Int($0) },
      expiresInSeconds: answer.secondsUntilExpiry)
  }
}
