public import HTTP

extension Request {
  /// Whether `Accept` prefers a media type to another one (RFC 9110, section 12.5.1). Where both have the same weight, the one
  /// that is named more exactly is preferred; else the other one.
  public func prefers(_ type: String, to other: String) -> Bool {
    let ranges = AcceptedRange.all(in: values(of: "accept"))
    let (wanted, fallback) = (
      AcceptedRange.best(for: type, of: ranges), AcceptedRange.best(for: other, of: ranges)
    )
    guard let wanted, wanted.weight > 0 else { return false }
    guard let fallback else { return true }
    return (wanted.weight, wanted.exactness) > (fallback.weight, fallback.exactness)
  }
}

/// A range of media types in `Accept`, such as `text/*;q=0.5`.
private struct AcceptedRange {
  let type: Substring
  let subtype: Substring
  let weight: Double

  /// 0 for `*/*`, 1 for `text/*`, 2 for `text/csv`.
  var exactness: Int { type == "*" ? 0 : subtype == "*" ? 1 : 2 }

  init?(_ text: Substring) {
    let parts = text.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
    guard let names = parts.first?.split(separator: "/"), names.count == 2 else { return nil }
    (type, subtype) = (names[0], names[1])
    let given = parts.dropFirst().first { $0.hasPrefix("q=") }
    weight = given.map { min(max(Double($0.dropFirst(2)) ?? 0, 0), 1) } ?? 1
  }

  static func all(in lines: [String]) -> [AcceptedRange] {
    lines.flatMap { $0.split(separator: ",") }.compactMap { AcceptedRange($0) }
  }

  /// The most exact range that has the type.
  static func best(for type: String, of ranges: [AcceptedRange]) -> AcceptedRange? {
    let names = type.split(separator: "/")
    return ranges.filter { range in
      (range.type == "*" || range.type == names[0]) && (range.subtype == "*" || range.subtype == names[1])
    }.max { $0.exactness < $1.exactness }
  }
}
