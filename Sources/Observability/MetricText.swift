/// Metrics as text: Prometheus' text-based exposition format, version 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/).
struct MetricText {
  private(set) var bytes: [UInt8] = []

  enum Kind: String, Sendable {
    case counter, gauge, histogram
  }

  struct Label {
    let name: StaticString
    let value: String
  }

  /// `# HELP` and `# TYPE`, which precede a metric's samples.
  mutating func head(_ name: StaticString, help: StaticString, kind: Kind) {
    bytes += "# HELP \(name) ".utf8
    appendEscaped(help.description, quotes: false)
    bytes += "\n# TYPE \(name) \(kind.rawValue)\n".utf8
  }

  /// `name_suffix{label="value"} 1`
  mutating func sample(_ name: StaticString, suffix: StaticString = "", _ labels: [Label], _ value: String) {
    bytes += "\(name)\(suffix)".utf8
    var separator = "{"
    for label in labels {
      bytes += "\(separator)\(label.name)=\"".utf8
      appendEscaped(label.value, quotes: true)
      bytes += "\"".utf8
      separator = ","
    }
    bytes += (labels.isEmpty ? " \(value)\n" : "} \(value)\n").utf8
  }

  /// A sample for each set of labels.
  mutating func samples<Labels: MetricLabels>(_ name: StaticString, of readings: [(Labels, Double)]) {
    for (labels, value) in readings { sample(name, Self.labels(labels), Self.number(value)) }
  }

  static func labels<Labels: MetricLabels>(_ labels: Labels) -> [Label] {
    Self.labels(of: Labels.self, labels.values)
  }

  static func labels<Labels: MetricLabels>(of type: Labels.Type, _ values: [String]) -> [Label] {
    precondition(values.count == Labels.names.count, "each label has a value")
    return zip(Labels.names, values).map { Label(name: $0, value: $1) }
  }

  /// The buckets of a histogram, each including the smaller ones, then the sum and the count of all.
  mutating func samples(_ name: StaticString, _ labels: [Label], of histogram: Histogram) {
    let (counts, sum) = histogram.reading
    let bounds = histogram.bounds.map(Self.number) + [Self.number(.infinity)]
    for (bound, count) in zip(bounds, counts) {
      sample(name, suffix: "_bucket", labels + [Label(name: "le", value: bound)], String(count))
    }
    sample(name, suffix: "_sum", labels, Self.number(sum))
    sample(name, suffix: "_count", labels, String(counts[counts.count - 1]))
  }

  /// In the form that Go reads (`ParseFloat`), whole numbers without a point.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return Int64(exactly: value).map(String.init) ?? "\(value)"
  }

  /// A backslash and a line feed are escaped everywhere, a quote only in label values.
  private mutating func appendEscaped(_ text: String, quotes: Bool) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): bytes += #"\\"#.utf8
      case UInt8(ascii: "\n"): bytes += #"\n"#.utf8
      case UInt8(ascii: "\"") where quotes: bytes += #"\""#.utf8
      default: bytes.append(byte)
      }
    }
  }
}
