internal import Commands
internal import Encoding
internal import Registry

extension RateLimit {
  /// Reads `REQUESTS/SECONDS`. Nil if the text is malformed or out of bounds.
  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let requests = DecimalText.read(parts[0], in: Self.requestBounds),
      let windowSeconds = DecimalText.read(parts[1], in: Self.windowBounds)
    else { return nil }
    self.init(requests: requests, windowSeconds: windowSeconds)
  }
}

extension RateLimits.Settings {
  static let off = "off"

  init(_ arguments: Arguments) throws(UsageError) {
    self.init(
      client: try Self.limit(arguments, .rateLimitClient), device: try Self.limit(arguments, .rateLimitDevice),
      address: try Self.limit(arguments, .rateLimitAddress))
  }

  private static func limit(_ arguments: Arguments, _ setting: Setting) throws(UsageError) -> RateLimit? {
    guard let text = arguments.value(of: setting), text != off else { return nil }
    guard let limit = RateLimit(text) else {
      throw UsageError(
        setting,
        "must be REQUESTS/SECONDS, for example 600/60, with at most \(RateLimit.requestBounds.upperBound) requests "
          + "and \(RateLimit.windowBounds.upperBound) seconds, or \(off)")
    }
    return limit
  }
}
