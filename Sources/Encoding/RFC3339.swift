/// Moments as text (RFC 3339, section 5.6), in UTC with milliseconds: `2026-11-23T20:28:29.123Z`.
public enum RFC3339 {
  /// Characters of the text.
  public static let length = 24

  /// 0000-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z: the times that RFC 3339 can write.
  private static let writable: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

  /// Writes `length` bytes; the year has four digits. A time outside the years 0000 to 9999 is clamped.
  ///
  /// The date is computed by the days-to-civil algorithm: years start in March, so that the leap day is a
  /// year's last, and 400 years are always 146,097 days.
  public static func write(millisecondsSince1970: Int64, to buffer: UnsafeMutableBufferPointer<UInt8>) {
    let milliseconds = min(max(millisecondsSince1970, writable.lowerBound), writable.upperBound)
    let millisecondsOfDay = Int(milliseconds.flooredRemainder(86_400_000))
    let days = Int((milliseconds - Int64(millisecondsOfDay)) / 86_400_000)

    let daysSinceMarch0000 = days + 719_468
    let era = (daysSinceMarch0000 >= 0 ? daysSinceMarch0000 : daysSinceMarch0000 - 146_096) / 146_097
    let dayOfEra = daysSinceMarch0000 - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)

    func pair(_ value: Int, at offset: Int) {
      buffer[offset] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / 10)
      buffer[offset + 1] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10)
    }
    pair(year / 100, at: 0)
    pair(year % 100, at: 2)
    buffer[4] = UInt8(ascii: "-")
    pair(month, at: 5)
    buffer[7] = UInt8(ascii: "-")
    pair(day, at: 8)
    buffer[10] = UInt8(ascii: "T")
    pair(millisecondsOfDay / 3_600_000, at: 11)
    buffer[13] = UInt8(ascii: ":")
    pair(millisecondsOfDay / 60_000 % 60, at: 14)
    buffer[16] = UInt8(ascii: ":")
    pair(millisecondsOfDay / 1000 % 60, at: 17)
    buffer[19] = UInt8(ascii: ".")
    pair(millisecondsOfDay % 1000 / 10, at: 20)
    buffer[22] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: millisecondsOfDay % 10)
    buffer[23] = UInt8(ascii: "Z")
  }
}

extension Int64 {
  /// The remainder that has the divisor's sign, so that times before 1970 fall on the right day.
  fileprivate func flooredRemainder(_ divisor: Int64) -> Int64 {
    let remainder = self % divisor
    return remainder < 0 ? remainder + divisor : remainder
  }
}
