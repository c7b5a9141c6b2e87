internal import Encoding
internal import Registry

/// The time since which a Redis has kept every nonce. All processes share it, as the value of a key that is
/// lost with the nonces when Redis is emptied. The random part makes each epoch distinct.
struct RedisEpoch: Hashable {
  let start: Timestamp
  /// The value of the key in Redis.
  let value: String

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
}
