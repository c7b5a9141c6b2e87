internal import CCjose
internal import Glibc

/// Signs tokens with the shared secret, for trials, for tests, and for services without an identity provider.
public struct TokenSigner: Sendable {
  private let secret: TokenSecret
  private let issuer: String?
  private let audience: String?

  /// - Parameters:
  ///   - issuer: the `iss` that the service requires, if any.
  ///   - audience: the `aud` that the service requires, if any.
  public init(secret: TokenSecret, issuer: String? = nil, audience: String? = nil) {
    self.secret = secret
    self.issuer = issuer
    self.audience = audience
  }

  /// Signs a token in compact form with HS256. Returns nil if a text contains a NUL, which would end its C
  /// string.
  ///
  /// - Parameters:
  ///   - clientID: the `client_id` on whose behalf the subject acts.
  ///   - scope: names separated by spaces (RFC 8693, section 4.2).
  ///   - issuedAtSeconds: since 1970.
  public func sign(
    subject: String, clientID: String? = nil, scope: String? = nil, issuedAtSeconds: Int64,
    lifetimeSeconds: Int64
  ) -> String? {
    let (expiry, overflows) = issuedAtSeconds.addingReportingOverflow(lifetimeSeconds)
    guard !overflows, let claims = json_object() else { return nil }
    defer { json_decref(claims) }
    let texts = [
      ("iss", issuer), ("sub", subject), ("client_id", clientID), ("aud", audience), ("scope", scope),
    ]
    for (name, text) in texts {
      guard let text else { continue }
      guard !text.utf8.contains(0), json_object_set_new(claims, name, json_string(text)) == 0 else {
        return nil
      }
    }
    json_object_set_new(claims, "iat", json_integer(issuedAtSeconds))
    json_object_set_new(claims, "exp", json_integer(expiry))
    guard let payload = json_dumps(claims, Int(JSON_COMPACT)) else { return nil }
    defer { free(payload) }
    return signed(UnsafeRawBufferPointer(start: payload, count: strlen(payload)))
  }

  private func signed(_ payload: UnsafeRawBufferPointer) -> String? {
    guard let header = cjose_header_new(nil) else { return nil }
    defer { cjose_header_release(header) }
    guard cjose_header_set(header, "alg", Algorithm.hs256.rawValue, nil),
      cjose_header_set(header, "typ", "JWT", nil),
      let jws = cjose_jws_sign(
        secret.key.jwk, header, payload.assumingMemoryBound(to: UInt8.self).baseAddress!, payload.count, nil)
    else { return nil }
    defer { cjose_jws_release(jws) }
    var text: UnsafePointer<CChar>?
    // cjose owns the text.
    guard cjose_jws_export(jws, &text, nil), let text else { return nil }
    return String(cString: text)
  }
}
