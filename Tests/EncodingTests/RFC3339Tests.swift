import Encoding
import Foundation
import Testing

@Suite struct RFC3339Tests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    (951_782_400_000, "2000-02-29T00:00:00.000Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
    (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    (1_795_466_909_123, "2026-11-23T20:48:29.123Z"), (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
    (-62_167_219_200_001, "0000-01-01T00:00:00.000Z"), (.min, "0000-01-01T00:00:00.000Z"),
    (253_402_300_800_000, "9999-12-31T23:59:59.999Z"), (.max, "9999-12-31T23:59:59.999Z"),
  ])
  func `A time is written in UTC with milliseconds`(_ milliseconds: Int64, _ expected: String) {
    #expect(text(milliseconds) == expected)
  }

  @Test func `It agrees with Foundation on every day of 400 years`() {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    for day in 0..<146_097 {
      let milliseconds = Int64(day) * 86_400_000 + Int64(day)
      let text = text(milliseconds)
      let expected = Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(style)
      guard text.prefix(19) != expected.prefix(19) else { continue }
      Issue.record("\(text) is not \(expected)")
      return
    }
  }

  @Test func `What is written is read, with any offset and fraction`() {
    for day in stride(from: -719_528, to: 2_932_896, by: 7) {
      let milliseconds = Int64(day) * 86_400_000 + 12_345_678
      guard RFC3339.read(text(milliseconds)) != milliseconds else { continue }
      Issue.record("\(text(milliseconds)) is not read")
      return
    }
    for (text, milliseconds) in [
      ("1970-01-01T00:00:00Z", 0), ("1970-01-01t01:30:00.5+01:30", 500), ("1969-12-31T23:00:00-01:00", 0),
      ("1970-01-01T00:00:01.0019z", 1001), ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ] {
      #expect(RFC3339.read(text) == Int64(milliseconds), "\(text)")
    }
  }

  @Test(arguments: [
    "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-13-01T00:00:00Z",
    "1970-00-01T00:00:00Z",
    "2023-02-29T00:00:00Z", "1970-01-32T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00+0100", "1970-01-01T00:00:00+24:00",
    "1970-01-01T00:00:00ZZ", " 1970-01-01T00:00:00Z", "+970-01-01T00:00:00Z",
  ])
  func `Other text is no time`(_ text: String) { #expect(RFC3339.read(text) == nil) }

  private func text(_ milliseconds: Int64) -> String {
    String(unsafeUninitializedCapacity: RFC3339.length) { text in
      RFC3339.write(millisecondsSince1970: milliseconds, to: text)
      return RFC3339.length
    }
  }
}
