private import Synchronization

/// Generates version 7 ids that sort in the order of generation, also within a millisecond (RFC 9562, section
/// 6.2, method 1: the 12 bits after the time are a counter).
final class IdentifierSequence: Sendable {
  /// Milliseconds and counter, in the layout of an id's first word.
  private let last = Mutex<(milliseconds: UInt64, counter: UInt64)>((0, 0))

  private static let maximumCounter: UInt64 = 0xFFF

  /// The next id. If the counter overflows or the clock was set back, the id's time is ahead of the clock.
  func next<Entity>(at time: Timestamp, random: some RandomSource) -> Identifier<Entity> {
    let now = UInt64(clamping: time.millisecondsSince1970)
    let (milliseconds, counter) = last.withLock { last in
      if now > last.milliseconds {
        last = (now, 0)
      } else if last.counter < Self.maximumCounter {
        last.counter += 1
      } else {
        last = (last.milliseconds + 1, 0)
      }
      return last
    }
    var low: UInt64 = 0
    withUnsafeMutableBytes(of: &low) { random.fill($0) }
    return Identifier(
      high: milliseconds << 16 | 0x7000 | counter, low: low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
  }
}
