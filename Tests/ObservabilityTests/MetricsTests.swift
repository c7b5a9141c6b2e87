import Dispatch
import Glibc
@testable import Observability
import Testing

@Suite struct MetricsAsText {
  private struct Place: MetricLabels {
    static let names: [StaticString] = ["place", "kind"]
    let place: String
    var kind = "a"
    var values: [String] { [place, kind] }
  }

  private let metrics = Metrics()

  private func text() -> String { String(decoding: metrics.text(), as: UTF8.self) }

  @Test func `A counter has its help, its type and its number`() {
    let counter = metrics.counter("devices_registered_total", "Devices that were registered.")
    counter.increment()
    counter.increment(by: 41)
    #expect(
      text() == """
        # HELP devices_registered_total Devices that were registered.
        # TYPE devices_registered_total counter
        devices_registered_total 42

        """)
  }

  @Test func `Metrics are in the order in which they were made, also one without children`() {
    _ = metrics.counters("b_total", "B.", by: Place.self)
    let gauge = metrics.gauge("a", "A.")
    gauge.set(3)
    gauge.add(-5)
    #expect(
      text() == """
        # HELP b_total B.
        # TYPE b_total counter
        # HELP a A.
        # TYPE a gauge
        a -2

        """)
  }

  @Test func `A family has a line for each set of labels, in their order`() {
    let counters = metrics.counters("visits_total", "Visits.", by: Place.self)
    counters[Place(place: "b")].increment()
    counters[Place(place: "a", kind: "z")].increment(by: 2)
    counters[Place(place: "a")].increment()
    counters[Place(place: "b")].increment()
    #expect(
      text().hasSuffix(
        """
        visits_total{place="a",kind="a"} 1
        visits_total{place="a",kind="z"} 2
        visits_total{place="b",kind="a"} 2

        """))
  }

  @Test func `No value of a label and no help can end its line`() {
    let gauges = metrics.gauges("info", "A \"help\" with a \\ and\nmore.", by: Place.self)
    gauges[Place(place: "\"} 1\nevil 2 \\", kind: "ö")].set(1)
    #expect(
      text() == #"""
        # HELP info A "help" with a \\ and\nmore.
        # TYPE info gauge
        info{place="\"} 1\nevil 2 \\",kind="ö"} 1

        """#)
  }

  @Test func `A gauge with a closure is read at each look`() {
    let source = metrics.gauge("source", "What the other one reads.")
    metrics.gauge("twice", "Twice that.") { Double(source.value) * 2 }
    source.set(21)
    #expect(text().hasSuffix("\ntwice 42\n"))
    source.set(4)
    #expect(text().hasSuffix("\ntwice 8\n"))
  }

  @Test(arguments: [
    (0, "0"), (-3, "-3"), (12_000_000, "12000000"), (0.25, "0.25"), (1.5e-07, "1.5e-07"),
    (Double.infinity, "+Inf"), (-Double.infinity, "-Inf"), (Double.nan, "NaN"),
  ])
  func `A number is written as Prometheus reads it`(_ value: Double, _ text: String) {
    metrics.gauge("value", "A value.") { value }
    #expect(self.text().hasSuffix("\nvalue \(text)\n"))
  }

  @Test func `A histogram's buckets hold those below them, and what takes a bound is within it`() {
    let histogram = metrics.histogram("wait_seconds", "Waits.", bounds: [0.005, 0.25, 1])
    for nanoseconds: UInt64 in [0, 5_000_000, 5_000_001, 250_000_000, 2_000_000_000] {
      histogram.observe(nanoseconds: nanoseconds)
    }
    #expect(
      text() == """
        # HELP wait_seconds Waits.
        # TYPE wait_seconds histogram
        wait_seconds_bucket{le="0.005"} 2
        wait_seconds_bucket{le="0.25"} 4
        wait_seconds_bucket{le="1"} 4
        wait_seconds_bucket{le="+Inf"} 5
        wait_seconds_sum 2.260000001
        wait_seconds_count 5

        """)
  }

  @Test func `A labelled histogram has its labels before the bound`() {
    let histograms = metrics.histograms("wait_seconds", "Waits.", bounds: [1], by: Place.self)
    histograms[Place(place: "x")].observe(nanoseconds: 500_000_000)
    #expect(
      text().hasSuffix(
        """
        wait_seconds_bucket{place="x",kind="a",le="1"} 1
        wait_seconds_bucket{place="x",kind="a",le="+Inf"} 1
        wait_seconds_sum{place="x",kind="a"} 0.5
        wait_seconds_count{place="x",kind="a"} 1

        """))
  }

  @Test func `A family keeps a bounded number of children, and counts the rest together`() {
    let counters = metrics.counters("visits_total", "Visits.", by: Place.self)
    let maximum = MetricFamily<Place, Counter>.maximumChildren
    for number in 0..<maximum + 10 { counters[Place(place: "p\(number)")].increment() }
    counters[Place(place: "p0")].increment()
    let lines = text().split(separator: "\n").dropFirst(2)
    #expect(lines.count == maximum + 1)
    #expect(lines.contains(#"visits_total{place="p0",kind="a"} 2"#))
    #expect(lines.last == #"visits_total{place="other",kind="other"} 10"#)
  }

  @Test func `Nothing is lost when threads count at once`() {
    let counter = metrics.counter("all_total", "All.")
    let counters = metrics.counters("some_total", "Some.", by: Place.self)
    let histogram = metrics.histogram("wait_seconds", "Waits.", bounds: [1, 2])
    let (threads, rounds) = (8, 2_000)
    DispatchQueue.concurrentPerform(iterations: threads) { thread in
      for round in 0..<rounds {
        counter.increment()
        counters[Place(place: "\(round % 4)")].increment()
        histogram.observe(nanoseconds: UInt64(thread % 3) * 1_000_000_000 + 1)
      }
    }
    let text = text()
    #expect(text.contains("\nall_total \(threads * rounds)\n"))
    for place in 0..<4 {
      #expect(text.contains("\nsome_total{place=\"\(place)\",kind=\"a\"} \(threads * rounds / 4)\n"))
    }
    #expect(text.contains("\nwait_seconds_bucket{le=\"1\"} \(3 * rounds)\n"))
    #expect(text.contains("\nwait_seconds_count \(threads * rounds)\n"))
  }

  @Test func `What is read has a line for each set of labels, and none where there is nothing to tell`() {
    metrics.counters("looks_total", "Looks.") { [(Place(place: "x"), 3), (Place(place: "y", kind: "b"), 0.5)] }
    metrics.counter("seconds_total", "Seconds.") { 1.25 }
    metrics.gauges("rooms", "Rooms.") { [(Place, Double)]() }
    metrics.gauge("age", "Age.") { nil }
    #expect(
      text() == """
        # HELP looks_total Looks.
        # TYPE looks_total counter
        looks_total{place="x",kind="a"} 3
        looks_total{place="y",kind="b"} 0.5
        # HELP seconds_total Seconds.
        # TYPE seconds_total counter
        seconds_total 1.25
        # HELP rooms Rooms.
        # TYPE rooms gauge
        # HELP age Age.
        # TYPE age gauge

        """)
  }
}

@Suite struct ProcessUses {
  @Test func `Memory is in bytes`() throws {
    let bytes = try #require(ProcessUse.residentBytes)
    #expect((1_000_000...100_000_000_000).contains(bytes))
  }

  @Test func `Time of processors grows with work`() {
    let before = ProcessUse.processorSeconds
    let deadline = ContinuousClock.now + .seconds(30)
    while ProcessUse.processorSeconds < before + 0.01, ContinuousClock.now < deadline {}
    #expect(ProcessUse.processorSeconds >= before + 0.01)
  }

  @Test func `Each open descriptor counts`() throws {
    let count = 100
    // Other tests open and close some meanwhile, but not each time.
    let isCounted = try (0..<1000).contains { _ in
      let before = try #require(ProcessUse.openDescriptors)
      let descriptors = (0..<count).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
      let during = try #require(ProcessUse.openDescriptors)
      for descriptor in descriptors { close(descriptor) }
      let after = try #require(ProcessUse.openDescriptors)
      return during - before == count && during - after == count
    }
    #expect(isCounted)
  }
}

@Suite struct MetricNames {
  @Test func `A name that is there already is a fault of the program`() {
    #expect(Metrics.objection(to: "a_total", .counter, beside: ["b_total"]) == nil)
    #expect(Metrics.objection(to: "a_total", .counter, beside: ["b_total", "a_total"]) != nil)
  }

  @Test func `A counter's name ends with _total, and no other's does`() {
    #expect(Metrics.objection(to: "visits", .counter, beside: []) != nil)
    #expect(Metrics.objection(to: "visits_total", .gauge, beside: []) != nil)
    #expect(Metrics.objection(to: "visits", .gauge, beside: []) == nil)
  }

  @Test func `A name is made of small letters, digits and underscores`() {
    for name: StaticString in ["Visits", "visits-open", "visits open", "visits\n"] {
      #expect(Metrics.objection(to: name, .gauge, beside: []) != nil)
    }
    #expect(Metrics.objection(to: "visits_2", .gauge, beside: []) == nil)
  }
}
