/// A rate limit: `requests` at once, and the same number again within `windowSeconds`, evenly spread.
public struct RateLimit: Hashable, Sendable {
  public let requests: Int
  public let windowSeconds: Int

  public static let requestBounds = 1...1_000_000
  public static let windowBounds = 1...86_400

  public init(requests: Int, windowSeconds: Int) {
    precondition(Self.requestBounds.contains(requests) && Self.windowBounds.contains(windowSeconds))
    self.requests = requests
    self.windowSeconds = windowSeconds
  }

  /// What a limit applies to.
  public enum Subject: String, CaseIterable, Hashable, Sendable {
    /// An owner: the `sub` of its token.
    case client
    case device
    /// An address: failed authentications and token requests are charged to it.
    case address
  }

  /// The state of a caller's limit after a request.
  public struct Standing: Hashable, Sendable {
    public let subject: Subject
    public let limit: RateLimit
    /// Requests of cost 1 that would be admitted now.
    public let remaining: Int
    /// Seconds until the whole limit is available again.
    public let resetSeconds: Int
    /// For a rejected request, seconds until the next one is admitted; nil for an admitted request.
    public let retryAfterSeconds: Int?
  }
}

/// The address that limits apply to: an IPv4 address, or the first 64 bits of an IPv6 address, because one
/// machine can use every address of such a network (RFC 4291, section 2.5.4).
public struct CallerAddress: Hashable, Sendable {
  let high: UInt64
  let low: UInt64

  /// - Parameters:
  ///   - high: the first eight octets, big endian, of an IPv6 address; an IPv4 address is mapped (RFC 4291,
  ///     section 2.5.5.2).
  ///   - low: the last eight.
  public init(high: UInt64, low: UInt64) {
    let isVersion4 = high == 0 && low >> 32 == 0xFFFF
    self.high = high
    self.low = isVersion4 ? low : 0
  }
}
