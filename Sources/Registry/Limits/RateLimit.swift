/// How often somebody may ask: `requests` at once, and as many again within `windowSeconds`, evenly spread.
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

  /// Whom a limit is on.
  public enum Subject: String, CaseIterable, Hashable, Sendable {
    /// An owner: the `sub` of its token.
    case client
    case device
    /// Those who come from one address: what fails, and what asks for tokens, is counted against it.
    case address
  }

  /// Where somebody stands with a limit after a request.
  public struct Standing: Hashable, Sendable {
    public let subject: Subject
    public let limit: RateLimit
    /// Requests that would be let through now.
    public let remaining: Int
    /// Seconds until all of the limit is there again.
    public let resetSeconds: Int
    /// Of a request that was refused, seconds after which one is let through; nil if it was let through.
    public let retryAfterSeconds: Int?
  }
}

/// Where a caller is, as far as limits go: an address of IPv4, or the network of one of IPv6 (its first 64 bits), of
/// whose addresses one machine has as many as it likes (RFC 4291, section 2.5.4).
public struct CallerAddress: Hashable, Sendable {
  let high: UInt64
  let low: UInt64

  /// - Parameters:
  ///   - high: the first eight octets, big endian, of an IPv6 address; one of IPv4 is mapped (RFC 4291, section 2.5.5.2).
  ///   - low: the last eight.
  public init(high: UInt64, low: UInt64) {
    let isVersion4 = high == 0 && low >> 32 == 0xFFFF
    self.high = high
    self.low = isVersion4 ? low : 0
  }
}
