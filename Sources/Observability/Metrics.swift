internal import Encoding
internal import Synchronization

/// The numbers of a process, in Prometheus' text format. Each metric is made here, once, and kept by the code that
/// counts; a name is `[a-z_]+`, and ends with its unit in the plural, that of a counter with `_total`
/// (https://prometheus.io/docs/practices/naming/).
public final class Metrics: Sendable {
  private struct Metric: Sendable {
    let name: StaticString
    let help: StaticString
    let kind: MetricText.Kind
    /// Appends the samples.
    let write: @Sendable (inout MetricText) -> Void
  }

  private let metrics = Mutex<[Metric]>([])

  /// The media type of `text`.
  public static let contentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"
  /// Metrics of one process.
  public static let maximumMetrics = 256

  public init() {}

  /// All metrics, in the order in which they were made. Waits for nothing: any thread may read the numbers, so that a
  /// stuck loop is visible from outside.
  public func text() -> [UInt8] {
    var text = MetricText()
    for metric in metrics.withLock({ $0 }) {
      text.head(metric.name, help: metric.help, kind: metric.kind)
      metric.write(&text)
    }
    return text.bytes
  }

  // MARK: Making metrics

  public func counter(_ name: StaticString, _ help: StaticString) -> Counter {
    let counter = Counter()
    add(name, help, .counter) { $0.sample(name, [], String(counter.value)) }
    return counter
  }

  /// A counter that is kept elsewhere, and read at each scrape.
  /// - Parameter read: callable from any thread, without waiting; its value never decreases.
  public func counter(_ name: StaticString, _ help: StaticString, read: @escaping @Sendable () -> Double) {
    add(name, help, .counter) { $0.sample(name, [], MetricText.number(read())) }
  }

  /// Counters that are kept elsewhere, in the same way.
  public func counters<Labels: MetricLabels>(
    _ name: StaticString, _ help: StaticString, read: @escaping @Sendable () -> [(Labels, Double)]
  ) {
    add(name, help, .counter) { $0.samples(name, of: read()) }
  }

  public func counters<Labels: MetricLabels>(
    _ name: StaticString, _ help: StaticString, by labels: Labels.Type
  ) -> MetricFamily<Labels, Counter> {
    let family = MetricFamily<Labels, Counter> { Counter() }
    add(name, help, .counter) { text in
      family.forEach { text.sample(name, $0, String($1.value)) }
    }
    return family
  }

  public func gauge(_ name: StaticString, _ help: StaticString) -> Gauge {
    let gauge = Gauge()
    add(name, help, .gauge) { $0.sample(name, [], String(gauge.value)) }
    return gauge
  }

  public func gauges<Labels: MetricLabels>(
    _ name: StaticString, _ help: StaticString, by labels: Labels.Type
  ) -> MetricFamily<Labels, Gauge> {
    let family = MetricFamily<Labels, Gauge> { Gauge() }
    add(name, help, .gauge) { text in
      family.forEach { text.sample(name, $0, String($1.value)) }
    }
    return family
  }

  /// A gauge that is read at each scrape.
  /// - Parameter read: callable from any thread, without waiting; nil without a value.
  public func gauge(_ name: StaticString, _ help: StaticString, read: @escaping @Sendable () -> Double?) {
    add(name, help, .gauge) { text in
      if let value = read() { text.sample(name, [], MetricText.number(value)) }
    }
  }

  /// Gauges that are read in the same way.
  public func gauges<Labels: MetricLabels>(
    _ name: StaticString, _ help: StaticString, read: @escaping @Sendable () -> [(Labels, Double)]
  ) {
    add(name, help, .gauge) { $0.samples(name, of: read()) }
  }

  /// - Parameter bounds: the buckets' bounds, in seconds, ascending.
  public func histogram(_ name: StaticString, _ help: StaticString, bounds: [Double]) -> Histogram {
    let histogram = Histogram(bounds: bounds)
    add(name, help, .histogram) { $0.samples(name, [], of: histogram) }
    return histogram
  }

  /// - Parameter bounds: the buckets' bounds, in seconds, ascending.
  public func histograms<Labels: MetricLabels>(
    _ name: StaticString, _ help: StaticString, bounds: [Double], by labels: Labels.Type
  ) -> MetricFamily<Labels, Histogram> {
    let family = MetricFamily<Labels, Histogram> { Histogram(bounds: bounds) }
    add(name, help, .histogram) { text in
      family.forEach { text.samples(name, $0, of: $1) }
    }
    return family
  }

  private func add(
    _ name: StaticString, _ help: StaticString, _ kind: MetricText.Kind,
    _ write: @escaping @Sendable (inout MetricText) -> Void
  ) {
    metrics.withLock { metrics in
      if let objection = Self.objection(to: name, kind, beside: metrics.map(\.name)) {
        preconditionFailure("\(name): \(objection)")
      }
      metrics.append(Metric(name: name, help: help, kind: kind, write: write))
    }
  }

  /// What is wrong with a metric of this name, given the existing ones; nil if it is valid.
  static func objection(
    to name: StaticString, _ kind: MetricText.Kind, beside others: [StaticString]
  ) -> String? {
    let text = name.description
    guard text.utf8.allSatisfy(isOfName) else { return "a metric's name is made of a-z, 0-9 and _" }
    guard (kind == .counter) == text.hasSuffix("_total") else {
      return "of counters alone, the names end with _total"
    }
    guard others.count < maximumMetrics else { return "too many metrics" }
    guard !others.contains(where: { $0.description == text }) else { return "it is there already" }
    return nil
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    byte.isLowerCaseLetter || byte.isDigit || byte == UInt8(ascii: "_")
  }
}
