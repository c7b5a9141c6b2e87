internal import Registry

extension RateLimit {
  /// Reads `REQUESTS/SECONDS`. Nil if the text is not of the form, or out of bounds.
  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let requests = Self.number(parts[0], in: Self.requestBounds),
      let windowSeconds = Self.number(parts[1], in: Self.windowBounds)
    else { return nil }
    self.init(requests: requests, windowSeconds: windowSeconds)
  }

  private static func number(_ text: Substring, in bounds: ClosedRange<Int>) -> Int? {
    guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
    return Int(text).flatMap { bounds.contains($0) ? $0 : nil }
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
