internal import Commands
internal import Console

/// The settings of the web console.
public struct ConsoleConfiguration: Sendable {
  /// Nil if people sign in with tokens only.
  let signIn: OpenIDProvider?

  /// Nil if the console is off.
  init?(_ arguments: Arguments) throws(UsageError) {
    signIn = try Self.signIn(arguments)
    switch arguments.value(of: .console) {
    case "on": break
    case "off": return nil
    default: throw UsageError(.console, "must be on or off")
    }
  }

  private static func signIn(_ arguments: Arguments) throws(UsageError) -> OpenIDProvider? {
    switch (arguments.value(of: .consoleOIDCIssuer), arguments.value(of: .consoleOIDCClientID)) {
    case (nil, nil): return nil
    case (_?, nil): throw UsageError(.consoleOIDCClientID, "is missing: CONSOLE_OIDC_ISSUER needs it")
    case (nil, _?): throw UsageError(.consoleOIDCIssuer, "is missing: CONSOLE_OIDC_CLIENT_ID needs it")
    case (let issuer?, let clientID?):
      guard let origin = origin(of: issuer) else {
        throw UsageError(
          .consoleOIDCIssuer,
          "must be an https URL without a query, for example https://id.example.com; http only on this machine")
      }
      return OpenIDProvider(issuer: issuer, origin: origin.description, clientID: clientID)
    }
  }

  /// The origin of an issuer's URL (OpenID Connect Discovery 1.0, section 3); nil if it is invalid.
  private static func origin(of issuer: String) -> Origin? {
    guard !issuer.contains(where: { "?#".contains($0) }), let start = issuer.firstRange(of: "://")?.upperBound
    else { return nil }
    let end = issuer[start...].firstIndex(of: "/") ?? issuer.endIndex
    guard let origin = Origin(String(issuer[..<end])) else { return nil }
    let isLocal =
      ListenAddress("\(origin.authority.contains(":") ? origin.authority : origin.authority + ":80")")?
      .isLoopback ?? false
    return origin.scheme == "https" || isLocal ? origin : nil
  }
}
