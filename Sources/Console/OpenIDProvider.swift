internal import Encoding

/// A provider of OpenID Connect with which people sign in: authorization code with PKCE (RFC 7636), as a public client.
public struct OpenIDProvider: Hashable, Sendable {
  /// The issuer's URL, as `iss` in its tokens; its configuration is below it (OpenID Connect Discovery 1.0, section 4).
  public let issuer: String
  /// The scheme, host and port of the issuer, which the pages may call.
  public let origin: String
  public let clientID: String

  public init(issuer: String, origin: String, clientID: String) {
    (self.issuer, self.origin, self.clientID) = (issuer, origin, clientID)
  }
}

extension Console {
  /// Parts of the pages that need a route.
  private static let features = [
    (name: "stats", route: "/api/v1/devices/{id}/stats"), (name: "telegram", route: "/api/v1/telegram/link"),
  ]

  /// What the pages read about the service.
  static func configuration(_ signIn: OpenIDProvider?, _ routes: [String]) -> String {
    let provider = signIn.map { provider in
      #"{"issuer":\#(JSONString.quoted(provider.issuer)),"client_id":\#(JSONString.quoted(provider.clientID))}"#
    }
    let present = features.filter { routes.contains($0.route) }.map { JSONString.quoted($0.name) }
    return #"{"oidc":\#(provider ?? "null"),"features":[\#(present.joined(separator: ","))]}"#
  }
}
