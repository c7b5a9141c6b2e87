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

  private func text(_ milliseconds: Int64) -> String {
    String(unsafeUninitializedCapacity: RFC3339.length) { text in
      RFC3339.write(millisecondsSince1970: milliseconds, to: text)
      return RFC3339.length
    }
  }
}
