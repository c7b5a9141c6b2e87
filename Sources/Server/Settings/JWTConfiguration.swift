internal import Commands
internal import Encoding
internal import JSON
public import JSONWebToken

/// The keys that verify owners' tokens, and the claims that tokens must have.
public struct JWTConfiguration: Sendable {
  /// The HS256 key.
  public var secret: TokenSecret?
  /// The key before, which still verifies.
  public var previousSecret: TokenSecret?
  /// What is probably wrong with the secret's file.
  public var secretWarning: String?
  /// The JWK set of `JWT_JWKS_FILE`.
  public var keys: JWKSet?
  /// The URL of a JWK set.
  public var keysURL: String?
  public var issuer: String?
  public var audience: String?
  /// How far ahead the `exp` of a token may be.
  public var maximumLifetimeDays: Int
  /// How long keys from the URL stay in use if no later fetch succeeds.
  public var keysMaximumAgeHours: Int

  init(_ arguments: Arguments) throws(UsageError) {
    (secret, secretWarning) = try Self.secret(arguments)
    if let path = arguments.value(of: .jwtPreviousSecretFile) {
      let content = try Configuration.readFile(path, for: .jwtPreviousSecretFile)
      previousSecret = try Self.secret(content.droppingLineEnd, of: .jwtPreviousSecretFile)
      guard secret != nil else {
        throw UsageError(.jwtPreviousSecretFile, "set JWT_SECRET_FILE (or JWT_SECRET) to the new key, too")
      }
    }
    if let path = arguments.value(of: .jwtJWKSFile) {
      let content = try Configuration.readFile(path, for: .jwtJWKSFile)
      do throws(JWKSetError) {
        keys = try JWKSet(json: content)
      } catch {
        throw UsageError(.jwtJWKSFile, "\(path): \(error)")
      }
    }
    keysURL = arguments.value(of: .jwtJWKSURL)
    if let keysURL, !keysURL.hasPrefix("https://") {
      throw UsageError(.jwtJWKSURL, "must begin with https://")
    }
    issuer = arguments.value(of: .jwtIssuer)
    audience = arguments.value(of: .jwtAudience)
    maximumLifetimeDays = try arguments.number(of: .jwtMaxLifetimeDays)
    keysMaximumAgeHours = try arguments.number(of: .jwksMaxAgeHours)
    guard secret != nil || keys != nil || keysURL != nil else {
      throw UsageError(
        "no key to verify tokens with: set JWT_SECRET_FILE (or JWT_SECRET), JWT_JWKS_FILE or JWT_JWKS_URL")
    }
  }

  /// `JWT_SECRET`, or the content of `JWT_SECRET_FILE`, with a warning if that is probably not what was meant; nil if
  /// neither is set.
  static func secret(_ arguments: Arguments) throws(UsageError) -> (TokenSecret?, warning: String?) {
    switch (arguments.value(of: .jwtSecret), arguments.value(of: .jwtSecretFile)) {
    case (nil, nil): return (nil, nil)
    case (_?, _?): throw UsageError(.jwtSecret, "set either this or JWT_SECRET_FILE, not both")
    case (let text?, nil): return (try secret(text.utf8, of: .jwtSecret), nil)
    case (nil, let path?):
      let content = try Configuration.readFile(path, for: .jwtSecretFile)
      let bytes = content.droppingLineEnd
      return (try secret(bytes, of: .jwtSecretFile), warning(of: bytes).map { "\(path) \($0)" })
    }
  }

  /// What editors may have added to a key.
  private static func warning(of secret: ArraySlice<UInt8>) -> String? {
    if ParsedJSON.byteOrderMarks.contains(where: secret.starts) {
      return "begins with a byte order mark, which is used as a part of the key: save the file without it"
    }
    guard secret.first?.isJSONWhiteSpace == true || secret.last?.isJSONWhiteSpace == true else { return nil }
    return
      "begins or ends with white space, which is used as a part of the key; only one line end after it is not"
  }

  private static func secret(_ bytes: some Sequence<UInt8>, of setting: Setting) throws(UsageError)
    -> TokenSecret
  {
    guard let secret = TokenSecret(bytes) else {
      throw UsageError(
        setting, "must have \(TokenSecret.minimumLength) bytes or more; `openssl rand -hex 32` generates one"
      )
    }
    return secret
  }
}

extension [UInt8] {
  /// Without the final line end that editors and `echo` add.
  var droppingLineEnd: ArraySlice<UInt8> {
    var content = self[...]
    if content.last == UInt8(ascii: "\n") { content.removeLast() }
    if content.last == UInt8(ascii: "\r") { content.removeLast() }
    return content
  }
}
