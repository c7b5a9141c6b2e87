/// What browsers let the console's pages do (Content Security Policy, level 3).
struct ContentPolicy {
  /// The value of `Content-Security-Policy`.
  let text: String

  init(signIn: OpenIDProvider?) {
    let connect = ["'self'"] + (signIn.map { [$0.origin] } ?? [])
    text = [
      "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:",
      "connect-src \(connect.joined(separator: " "))", "base-uri 'none'", "form-action 'none'",
      "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
    ].joined(separator: "; ")
  }
}
