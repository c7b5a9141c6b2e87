import Commands
import Foundation

// Times in options.

/// Where a duration counts to.
enum TimeDirection {
  case future, past
}

extension OwnerSession {
  /// The option's time; nil without it. A time is RFC 3339, or a duration from now: 30m, 12h, 7d.
  func time(_ option: Commands.Option, _ direction: TimeDirection) throws(UsageError) -> Date? {
    guard let text = arguments[option] else { return nil }
    if let match = text.wholeMatch(of: #/(\d{1,6})([smhd])/#), let number = Double(match.1),
      let unit = Self.units[match.2]
    {
      return output.now.addingTimeInterval(direction == .future ? number * unit : -number * unit)
    }
    let formats = [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()]
    guard let time = formats.lazy.compactMap({ try? Date(text, strategy: $0) }).first else {
      throw UsageError(
        "\(option.name) must be a time such as 2026-12-24T18:00:00Z, or a duration such as 30m, 12h or 7d")
    }
    return time
  }

  private static let units: [Substring: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
}
