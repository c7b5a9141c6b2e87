internal import Encoding

/// Bare items (RFC 9651, section 4.2.3.1): the first character determines the type.
extension StructuredFieldParser {
  typealias BareItem = StructuredDictionary.BareItem

  /// Digits of an integer (RFC 9651, section 3.3.1).
  private static let maximumIntegerDigits = 15
  /// Digits of a decimal before and after the point (RFC 9651, section 3.3.2).
  private static let maximumDecimalDigits = (whole: 12, fraction: 3)

  mutating func bareItem() throws(StructuredFieldError) -> BareItem {
    guard let first = next else { throw unexpected }
    switch first {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: ":"): return .byteSequence(try byteSequence())
    case UInt8(ascii: "?"): return .boolean(try boolean())
    case UInt8(ascii: "@"): return .date(try date())
    case UInt8(ascii: "%"): return .displayString(try displayString())
    case UInt8(ascii: "-"): return try number()
    case UInt8(ascii: "*"): return .token(token())
    default:
      if first.isDigit { return try number() }
      if first.isLetter { return .token(token()) }
      throw unexpected
    }
  }

  /// RFC 9651, section 4.2.6, after the first character.
  private mutating func token() -> Range<Int> {
    takeAll { $0.isTokenCharacter || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
  }

  /// RFC 9651, section 4.2.4.
  private mutating func number() throws(StructuredFieldError) -> BareItem {
    let start = offset
    let isNegative = take(UInt8(ascii: "-"))
    let whole = takeAll { $0.isDigit }
    guard !whole.isEmpty, whole.count <= Self.maximumIntegerDigits else { throw unexpected }
    guard take(UInt8(ascii: ".")) else {
      let magnitude = Int64(withText(whole) { DecimalText.read($0) }!)
      return .integer(isNegative ? -magnitude : magnitude)
    }
    let fraction = takeAll { $0.isDigit }
    guard whole.count <= Self.maximumDecimalDigits.whole, !fraction.isEmpty,
      fraction.count <= Self.maximumDecimalDigits.fraction
    else { throw unexpected }
    return .decimal(start..<offset)
  }

  /// RFC 9651, section 4.2.5.
  private mutating func string() throws(StructuredFieldError) -> Range<Int> {
    try expect(UInt8(ascii: "\""))
    let start = offset
    while true {
      _ = takeAll { $0.isPrintable && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
      let end = offset
      if take(UInt8(ascii: "\"")) { return start..<end }
      try expect(UInt8(ascii: "\\"))
      guard take(UInt8(ascii: "\"")) || take(UInt8(ascii: "\\")) else { throw unexpected }
    }
  }

  /// RFC 9651, section 4.2.7. That section asks parsers to accept missing padding and stray bits; here a byte sequence
  /// has one spelling, so that a signature has no second form.
  private mutating func byteSequence() throws(StructuredFieldError) -> Range<Int> {
    try expect(UInt8(ascii: ":"))
    let content = takeAll { $0 != UInt8(ascii: ":") }
    guard withText(content, Base64.isCanonical) else { throw unexpected }
    try expect(UInt8(ascii: ":"))
    return content
  }

  /// RFC 9651, section 4.2.8.
  private mutating func boolean() throws(StructuredFieldError) -> Bool {
    try expect(UInt8(ascii: "?"))
    if take(UInt8(ascii: "1")) { return true }
    try expect(UInt8(ascii: "0"))
    return false
  }

  /// RFC 9651, section 4.2.9.
  private mutating func date() throws(StructuredFieldError) -> Int64 {
    try expect(UInt8(ascii: "@"))
    guard next == UInt8(ascii: "-") || next?.isDigit == true, case .integer(let seconds) = try number() else {
      throw unexpected
    }
    return seconds
  }

  /// RFC 9651, section 4.2.10.
  private mutating func displayString() throws(StructuredFieldError) -> Range<Int> {
    try expect(UInt8(ascii: "%"))
    try expect(UInt8(ascii: "\""))
    let start = offset
    var decoded: [UInt8] = []
    while let byte = next, byte.isPrintable, byte != UInt8(ascii: "\"") {
      step()
      decoded.append(byte == UInt8(ascii: "%") ? try lowerCaseHexPair() : byte)
    }
    let end = offset
    try expect(UInt8(ascii: "\""))
    guard String(validating: decoded, as: UTF8.self) != nil else { throw unexpected }
    return start..<end
  }

  private mutating func lowerCaseHexPair() throws(StructuredFieldError) -> UInt8 {
    let high = try lowerCaseHexDigit()
    return high << 4 | (try lowerCaseHexDigit())
  }

  private mutating func lowerCaseHexDigit() throws(StructuredFieldError) -> UInt8 {
    guard let byte = next, byte.isLowerCaseHexDigit, let digit = Hex.value(byte) else { throw unexpected }
    step()
    return digit
  }
}
