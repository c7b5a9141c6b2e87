@testable import Registry
import TestSupport
import Testing

@Suite struct LatencyHistograms {
  /// Durations of all lengths that a signal can live, as often short as long.
  private static func durations(_ number: Int, _ random: inout SeededGenerator) -> [Int64] {
    (0..<number).map { _ in
      Int64.random(in: 0...(1 << Int64.random(in: 0...30, using: &random)), using: &random)
    }
  }

  private static func histogram(of durations: [Int64]) -> LatencyHistogram {
    durations.reduce(into: LatencyHistogram()) { $0.add(milliseconds: $1) }
  }

  @Test(arguments: 0..<50)
  func `Merged histograms are those of all durations, also through the databases' text`(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let parts = (0..<Int.random(in: 1...8, using: &random)).map { _ in
      Self.durations(Int.random(in: 0...200, using: &random), &random)
    }
    let all = Self.histogram(of: parts.flatMap { $0 })
    let merged = parts.map(Self.histogram).reduce(into: LatencyHistogram()) { $0.add($1) }
    #expect(merged == all)
    let texts = parts.map(Self.histogram).filter { !$0.isEmpty }.map(\.stored).joined(separator: " ")
    #expect(LatencyHistogram(stored: texts, maximum: all.maximum) == all)
    #expect(all.count == Int64(parts.reduce(0) { $0 + $1.count }))
  }

  @Test(arguments: 0..<50)
  func `A percentile is that of the durations, or at most an eighth more`(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let durations = Self.durations(Int.random(in: 1...500, using: &random), &random).sorted()
    let histogram = Self.histogram(of: durations)
    for percent: Int64 in [1, 50, 95, 99, 100] {
      let rank = (Int64(durations.count) * percent + 99) / 100
      let exact = min(durations[Int(rank) - 1], LatencyHistogram.longest)
      let found = try #require(histogram.percentile(percent))
      #expect(found >= exact && found <= exact + exact / 8, "\(percent) of \(durations)")
    }
    #expect(histogram.maximum == min(durations.last!, LatencyHistogram.longest))
  }

  @Test func `The buckets follow each other without a gap, from 0 to twelve days`() {
    var next: Int64 = 0
    for bucket: UInt8 in 0...223 {
      #expect(LatencyHistogram.bucket(of: next) == bucket)
      let last = LatencyHistogram.upperBound(of: bucket)
      #expect(LatencyHistogram.bucket(of: last) == bucket)
      next = last + 1
    }
    #expect(next == LatencyHistogram.longest + 1)
  }

  @Test func `Without durations there are no percentiles, and a clock that was set back counts as 0`() {
    var histogram = LatencyHistogram()
    #expect(histogram.percentile(50) == nil && histogram.maximum == nil && histogram.stored.isEmpty)
    histogram.add(milliseconds: -5)
    #expect(histogram.percentile(50) == 0 && histogram.maximum == 0)
    #expect(LatencyHistogram(stored: "x:1 7 :: 300:1", maximum: nil).isEmpty)
  }

  @Test func `Online time is split at hours, and ends where the device was offline`() {
    let hour = StatisticsStep.hour.start(of: Timestamp(millisecondsSince1970: 1_764_000_000_000))
    let parts = OnlineTime.byHour(
      from: hour + -1000, to: hour + 2500, offlineAfterMilliseconds: 90_000)
    #expect(parts.map(\.hour) == [hour + -3_600_000, hour] && parts.map(\.milliseconds) == [1000, 2500])
    let day = OnlineTime.byHour(from: hour, to: hour + 86_399_999, offlineAfterMilliseconds: 86_400_000)
    #expect(day.count == 24 && day.reduce(0) { $0 + $1.milliseconds } == 86_399_999)
    for (last, next) in [(hour, hour + 90_000), (hour, hour), (hour + 1, hour)] {
      #expect(OnlineTime.byHour(from: last, to: next, offlineAfterMilliseconds: 90_000).isEmpty)
    }
  }
}
