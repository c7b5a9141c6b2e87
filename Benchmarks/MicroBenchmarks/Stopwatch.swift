private import CAllocationCount
private import Glibc

/// Repeats a part, and prints the cost of one repetition.
enum Stopwatch {
  private static let rounds = 7

  /// Whether the command line asks for the part: its arguments are words of the name.
  private static func isWanted(_ name: String) -> Bool {
    CommandLine.arguments.dropFirst().allSatisfy { name.contains($0) }
  }

  static func measure(_ name: String, repetitions: Int = 20_000, _ body: () async throws -> Void) async rethrows
  {
    guard isWanted(name) else { return }
    var (best, allocations) = (Double.infinity, 0.0)
    for _ in 0..<rounds {
      let (start, before) = (nanoseconds(), allocation_count())
      for _ in 0..<repetitions { try await body() }
      let elapsed = Double(nanoseconds() - start) / Double(repetitions)
      guard elapsed < best else { continue }
      (best, allocations) = (elapsed, Double(allocation_count() - before) / Double(repetitions))
    }
    report(name, best, allocations)
  }

  static func measure(_ name: String, repetitions: Int = 20_000, _ body: () throws -> Void) rethrows {
    guard isWanted(name) else { return }
    var (best, allocations) = (Double.infinity, 0.0)
    for _ in 0..<rounds {
      let (start, before) = (nanoseconds(), allocation_count())
      for _ in 0..<repetitions { try body() }
      let elapsed = Double(nanoseconds() - start) / Double(repetitions)
      guard elapsed < best else { continue }
      (best, allocations) = (elapsed, Double(allocation_count() - before) / Double(repetitions))
    }
    report(name, best, allocations)
  }

  private static func report(_ name: String, _ nanoseconds: Double, _ allocations: Double) {
    let padding = String(repeating: " ", count: max(0, 40 - name.count))
    let tenths = Int((allocations * 10).rounded())
    let time = String(Int(nanoseconds.rounded()))
    print(
      name + padding + String(repeating: " ", count: max(0, 12 - time.count)) + time
        + "   \(tenths / 10).\(tenths % 10)")
  }

  private static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
