internal import Synchronization

// Counters, gauges and histograms, updated from any thread without a lock. A reader sees each number complete, but not
// all of them at one moment: related numbers may be read a little apart.

/// A number that only grows.
public final class Counter: Sendable {
  private let count = Atomic<UInt64>(0)

  init() {}

  public func increment(by amount: Int = 1) {
    precondition(amount >= 0, "a counter only grows")
    count.wrappingAdd(UInt64(amount), ordering: .relaxed)
  }

  var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
public final class Gauge: Sendable {
  private let number = Atomic<Int>(0)

  init() {}

  public func set(_ value: Int) { number.store(value, ordering: .relaxed) }

  public func add(_ amount: Int) { number.wrappingAdd(amount, ordering: .relaxed) }

  var value: Int { number.load(ordering: .relaxed) }
}

/// A histogram of durations: for each bound, the number of durations within it.
public final class Histogram: Sendable {
  /// In seconds, ascending.
  let bounds: [Double]
  private let boundsNanoseconds: [UInt64]
  /// The counts of each bound alone, and last of those beyond all bounds.
  private let counts: [Counter]
  private let sum = Counter()

  /// Bounds of one histogram. Each is a line for each label set, at every scrape.
  public static let maximumBounds = 32

  init(bounds: [Double]) {
    precondition((1...Self.maximumBounds).contains(bounds.count), "a histogram has 1 to 32 bounds")
    precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds grow")
    precondition(bounds[0] > 0 && bounds.last! <= 86_400, "bounds are seconds, of a day at most")
    self.bounds = bounds
    boundsNanoseconds = bounds.map { UInt64(($0 * 1e9).rounded()) }
    counts = (0...bounds.count).map { _ in Counter() }
  }

  /// Counts a duration. A duration equal to a bound is within it.
  public func observe(nanoseconds: UInt64) {
    let index = boundsNanoseconds.firstIndex { nanoseconds <= $0 } ?? bounds.count
    counts[index].increment()
    sum.increment(by: Int(clamping: nanoseconds))
  }

  /// For each bound, and last without one, the number of durations within it; and the sum of all durations. The last
  /// number is the total, even while durations are observed.
  var reading: (cumulativeCounts: [UInt64], sumSeconds: Double) {
    var total: UInt64 = 0
    let cumulativeCounts = counts.map { count in
      total += count.value
      return total
    }
    return (cumulativeCounts, Double(sum.value) / 1e9)
  }
}
