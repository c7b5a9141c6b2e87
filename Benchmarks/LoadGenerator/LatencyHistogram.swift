/// A histogram of latencies, with 64 parts for each power of two nanoseconds, so that values are accurate to 2 %.
struct LatencyHistogram {
  private static let partBits = 6
  private var counts = [Int](repeating: 0, count: 64 << partBits)
  private var count = 0

  mutating func record(_ nanoseconds: UInt64) {
    counts[Self.index(of: max(nanoseconds, 1 << Self.partBits))] += 1
    count += 1
  }

  /// The latency that this fraction of the requests did not exceed; 0 without requests.
  func seconds(at part: Double) -> Double {
    var rest = Int((Double(count) * part).rounded(.up))
    for (index, count) in counts.enumerated() where count > 0 {
      rest -= count
      if rest <= 0 { return Double(Self.lowest(of: index)) / 1e9 }
    }
    return 0
  }

  private static func index(of nanoseconds: UInt64) -> Int {
    let power = 63 - nanoseconds.leadingZeroBitCount
    let part = Int(nanoseconds >> UInt64(power - partBits)) & (1 << partBits - 1)
    return power << partBits | part
  }

  private static func lowest(of index: Int) -> UInt64 {
    let (power, part) = (index >> partBits, index & (1 << partBits - 1))
    return (1 << UInt64(partBits) | UInt64(part)) << UInt64(power - partBits)
  }
}
