import TestSupport
import Testing

/// h11 is a strict parser of HTTP/1.1, written in Python. It shares no code with llhttp or with us.
@Suite("The connection machine, compared with h11") struct DifferentialTests {
  private static let mutations = 20_000

  @Test
  func `reads mutated requests as h11 does, but for the known differences`() async throws {
    let inputs = await onOwnThread {
      var mutator = RequestMutator(seed: 9112)
      return (0..<Self.mutations).map { _ in mutator.next() }
    }
    let theirs = try await H11Reading.of(inputs)
    let comparison = await onOwnThread { Comparison(of: inputs, theirs) }
    for difference in comparison.unknown.prefix(5) { Issue.record("\(difference)") }
    #expect(comparison.unknown.count == 0)
    // The comparison says little unless there are many of both.
    #expect(comparison.acceptedByBoth > Self.mutations / 8)
    #expect(comparison.refusedByBoth > Self.mutations / 8)
  }

  @Test
  func `differs from h11 in each known way, for one reason`() async throws {
    let inputs = KnownDifference.all.map { Array($0.example.utf8) }
    let theirs = try await H11Reading.of(inputs)
    for (known, (input, theirs)) in zip(KnownDifference.all, zip(inputs, theirs)) {
      let difference = try #require(Difference(in: input, MachineReading(of: input), theirs), "\(known.reason)")
      let reasons = KnownDifference.all.filter { $0.explains(difference) }.map(\.reason)
      #expect(reasons == [known.reason], "\(difference)")
    }
  }
}

/// How often both readers agree, and where they do not.
private struct Comparison {
  private(set) var acceptedByBoth = 0
  private(set) var refusedByBoth = 0
  /// Differences that no row of the table explains.
  private(set) var unknown: [String] = []

  init(of inputs: [[UInt8]], _ theirs: [H11Reading]) {
    for (input, theirs) in zip(inputs, theirs) {
      let ours = MachineReading(of: input)
      if let difference = Difference(in: input, ours, theirs) {
        let isKnown = KnownDifference.all.contains { $0.explains(difference) }
        if !isKnown { unknown.append("\(difference)") }
      } else if ours.end == .refused {
        refusedByBoth += 1
      } else if !ours.requests.isEmpty {
        acceptedByBoth += 1
      }
    }
  }
}
