/// How many of a number of durations were how long, in milliseconds. Histograms are merged by adding their counts, so that
/// those of several processes, hours and devices make one, which has the percentiles of all durations within the width of
/// a bucket.
///
/// The buckets are fixed: one for each millisecond below 8, and eight for each power of two above. So a bucket is at most an
/// eighth wider than its lower bound.
public struct LatencyHistogram: Hashable, Sendable {
  /// Durations by bucket, without zeros.
  private var counts: [UInt8: Int64] = [:]
  /// The longest duration; nil without one.
  public private(set) var maximum: Int64?

  /// Longer durations count as this one: twelve days, more than a signal lives.
  static let longest: Int64 = (1 << 30) - 1

  public init() {}

  public var isEmpty: Bool { counts.isEmpty }
  public var count: Int64 { counts.values.reduce(0, +) }

  /// - Parameter milliseconds: a negative duration, which clocks that differ lead to, counts as 0.
  public mutating func add(milliseconds: Int64) {
    let duration = min(max(0, milliseconds), Self.longest)
    counts[Self.bucket(of: duration), default: 0] += 1
    maximum = max(maximum ?? 0, duration)
  }

  public mutating func add(_ other: LatencyHistogram) {
    counts.merge(other.counts, uniquingKeysWith: +)
    if let longest = other.maximum { maximum = max(maximum ?? 0, longest) }
  }

  /// The duration that the part of all durations does not exceed: the upper bound of its bucket, at most the longest one.
  /// Nil without durations.
  public func percentile(_ percent: Int64) -> Int64? {
    guard let maximum else { return nil }
    let rank = (count * percent + 99) / 100
    var seen: Int64 = 0
    for (bucket, number) in counts.sorted(by: { $0.key < $1.key }) {
      seen += number
      if seen >= rank { return min(Self.upperBound(of: bucket), maximum) }
    }
    return maximum
  }

  // MARK: Buckets

  /// - Parameter duration: from 0 to `longest`.
  static func bucket(of duration: Int64) -> UInt8 {
    guard duration >= 8 else { return UInt8(duration) }
    let power = Int64.bitWidth - 1 - duration.leadingZeroBitCount
    return UInt8((power - 2) * 8 + Int(duration >> (power - 3)) & 7)
  }

  /// The longest duration of a bucket.
  static func upperBound(of bucket: UInt8) -> Int64 {
    guard bucket >= 8 else { return Int64(bucket) }
    let (power, part) = (Int64(bucket) / 8 + 2, Int64(bucket) % 8)
    return (9 + part) << (power - 3) - 1
  }

  // MARK: Storing

  /// The counts as both databases store them: `BUCKET:COUNT`, separated by blanks. Texts are merged by joining them with a
  /// blank.
  public var stored: String {
    counts.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: " ")
  }

  /// Reads `stored`, or several of them with blanks between. Other text is left out.
  public init(stored: String, maximum: Int64?) {
    for pair in stored.utf8.split(separator: UInt8(ascii: " ")) {
      guard let colon = pair.firstIndex(of: UInt8(ascii: ":")),
        let bucket = Self.number(pair[..<colon]).flatMap({ UInt8(exactly: $0) }),
        let number = Self.number(pair[pair.index(after: colon)...])
      else { continue }
      counts[bucket, default: 0] += number
    }
    self.maximum = counts.isEmpty ? nil : maximum ?? counts.keys.max().map(Self.upperBound)
  }

  private static func number(_ digits: Substring.UTF8View) -> Int64? { Int64(Substring(digits)) }
}
