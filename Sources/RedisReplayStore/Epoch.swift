internal import Encoding
internal import Registry

/// The time from which a Redis remembers. All processes share it, as the value of a key that disappears with the nonces
/// when Redis is emptied. Its random part tells one emptying from the next.
struct RedisEpoch: Hashable {
  let start: Timestamp
  /// The value in Redis.
  let value: String

  /// How far the `created` of a signature may be ahead of a server's clock. What was created up to that long after the
  /// start may have been used before it.
  static let creationAheadMilliseconds = Int64(AuthenticationService.maximumLeadSeconds) * 1000

  private static let latestStart: Int64 = 253_402_300_799_999

  init(start: Timestamp, random: some RandomSource) {
    var word: UInt64 = 0
    withUnsafeMutableBytes(of: &word) { random.fill($0) }
    self.start = start
    value = "\(start.millisecondsSince1970)-\(Hex.text(word))"
  }

  /// Nil for a value that is not an epoch.
  init?(value: String) {
    let parts = value.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let start = Int64(parts[0]), (0...Self.latestStart).contains(start) else {
      return nil
    }
    self.start = Timestamp(millisecondsSince1970: start)
    self.value = value
  }

  /// Whether a nonce of this creation would be remembered if it had been used.
  func covers(_ created: Timestamp) -> Bool {
    created.millisecondsSince1970 > start.millisecondsSince1970 + Self.creationAheadMilliseconds
  }

  /// Seconds until what is created then is covered.
  func secondsLeft(at now: Timestamp) -> Int {
    let left = start.millisecondsSince1970 + Self.creationAheadMilliseconds - now.millisecondsSince1970
    return max(1, Int((left + 1000) / 1000))
  }
}
