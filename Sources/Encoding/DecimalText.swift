/// Whole numbers in decimal digits, without sign.
public enum DecimalText {
  /// The number of digits, 1 for 0.
  @inlinable public static func length(of number: UInt64) -> Int {
    var length = 1
    var rest = number / 10
    while rest > 0 {
      length += 1
      rest /= 10
    }
    return length
  }

  /// Writes the last digits of a number into the whole buffer, zeros before it.
  @inlinable public static func write(_ number: UInt64, to text: UnsafeMutableBufferPointer<UInt8>) {
    var rest = number
    for index in text.indices.reversed() {
      text[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
  }

  /// Reads digits, and nothing else. Nil for an empty text, and for a number that needs more than 64 bits.
  @inlinable public static func read(_ text: some Sequence<UInt8>) -> UInt64? {
    var number: UInt64?
    for byte in text {
      guard byte.isDigit else { return nil }
      let (tens, isTooLarge) = (number ?? 0).multipliedReportingOverflow(by: 10)
      let (sum, overflows) = tens.addingReportingOverflow(UInt64(byte &- UInt8(ascii: "0")))
      guard !isTooLarge, !overflows else { return nil }
      number = sum
    }
    return number
  }

  /// Reads a number within bounds, which are not negative.
  public static func read(_ text: some StringProtocol, in bounds: ClosedRange<Int>) -> Int? {
    read(text.utf8).flatMap { Int(exactly: $0) }.flatMap { bounds.contains($0) ? $0 : nil }
  }
}
