/// Moments as text (RFC 3339, section 5.6). Written in UTC with milliseconds: `2026-11-23T20:28:29.123Z`.
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

extension RFC3339 {
  /// Reads a date and a time with an offset, such as `2026-11-23T20:28:29Z` or `2026-11-23T21:28:29.123456+01:00`, as
  /// milliseconds since 1970, rounded down; nil for any other text. A leap second is read as the second after it.
  public static func read(_ text: String) -> Int64? {
    var text = text
    return text.withUTF8 { read(Cursor(bytes: $0)) }
  }

  private static func read(_ cursor: Cursor) -> Int64? {
    var cursor = cursor
    guard let year = cursor.digits(4), cursor.skip("-"), let month = cursor.digits(2), cursor.skip("-"),
      let day = cursor.digits(2), (1...12).contains(month),
      (1...daysOfMonth(month, isLeap: isLeap(year))).contains(day), cursor.skip("T") || cursor.skip("t"),
      let hour = cursor.digits(2), hour < 24, cursor.skip(":"), let minute = cursor.digits(2), minute < 60,
      cursor.skip(":"), let second = cursor.digits(2), second <= 60, let milliseconds = cursor.fraction(),
      let offsetMinutes = cursor.offset(), cursor.isAtEnd
    else { return nil }
    let days = daysSince1970(year: year, month: month, day: day)
    let seconds = ((days * 24 + hour) * 60 + minute - offsetMinutes) * 60 + second
    return Int64(seconds) * 1000 + Int64(milliseconds)
  }

  private static func isLeap(_ year: Int) -> Bool {
    year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400))
  }

  private static func daysOfMonth(_ month: Int, isLeap: Bool) -> Int {
    month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
  }

  /// The civil-to-days algorithm: the inverse of the one above.
  private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// The unread rest of a text.
  private struct Cursor {
    let bytes: UnsafeBufferPointer<UInt8>
    var index = 0

    var isAtEnd: Bool { index == bytes.count }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
      guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
      index += 1
      return true
    }

    mutating func digit() -> Int? {
      guard index < bytes.count, bytes[index].isDigit else { return nil }
      defer { index += 1 }
      return Int(bytes[index] - UInt8(ascii: "0"))
    }

    mutating func digits(_ count: Int) -> Int? {
      var number = 0
      for _ in 0..<count {
        guard let digit = digit() else { return nil }
        number = number * 10 + digit
      }
      return number
    }

    /// Milliseconds of a fraction of any length, which may be absent.
    mutating func fraction() -> Int? {
      guard skip(".") else { return 0 }
      guard var milliseconds = digit().map({ $0 * 100 }) else { return nil }
      var weight = 10
      while let digit = digit() {
        milliseconds += digit * weight
        weight /= 10
      }
      return milliseconds
    }

    /// Minutes to the east.
    mutating func offset() -> Int? {
      if skip("Z") || skip("z") { return 0 }
      let isEast = skip("+")
      guard isEast || skip("-"), let hours = digits(2), hours < 24, skip(":"), let minutes = digits(2),
        minutes < 60
      else { return nil }
      return (isEast ? 1 : -1) * (hours * 60 + minutes)
    }
  }
}

extension Int64 {
  /// The remainder that has the divisor's sign, so that times before 1970 fall on the right day.
  fileprivate func flooredRemainder(_ divisor: Int64) -> Int64 {
    let remainder = self % divisor
    return remainder < 0 ? remainder + divisor : remainder
  }
}
