public import Glibc

/// Classes of ASCII characters.
extension UInt8 {
  @inlinable public var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }
  @inlinable public var isLowerCaseLetter: Bool { self &- UInt8(ascii: "a") < 26 }
  @inlinable public var isUpperCaseLetter: Bool { self &- UInt8(ascii: "A") < 26 }
  @inlinable public var isLetter: Bool { isLowerCaseLetter || isUpperCaseLetter }
  @inlinable public var isLowerCaseHexDigit: Bool { isDigit || self &- UInt8(ascii: "a") < 6 }

  /// A visible character: `!` to `~`.
  @inlinable public var isVisible: Bool { self &- 0x21 < 0x5E }

  /// A visible character or a space.
  @inlinable public var isPrintable: Bool { self &- 0x20 < 0x5F }

  /// Space or tab: the optional white space around a field's value (RFC 9110, section 5.6.3).
  @inlinable public var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }

  /// White space between the tokens of a JSON text (RFC 8259, section 2).
  @inlinable public var isJSONWhiteSpace: Bool {
    isBlank || self == UInt8(ascii: "\n") || self == UInt8(ascii: "\r")
  }

  /// A character of tokens such as field names and methods: `tchar` (RFC 9110, section 5.6.2).
  @inlinable public var isTokenCharacter: Bool {
    switch self {
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
      UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default: isLetter || isDigit
    }
  }

  @inlinable public var lowerCased: UInt8 { isUpperCaseLetter ? self | 0x20 : self }
}

extension UnsafeBufferPointer<UInt8> {
  /// Without the spaces and tabs before and after it.
  public func trimmingBlanks() -> UnsafeBufferPointer<UInt8> {
    guard let first = firstIndex(where: { !$0.isBlank }), let last = lastIndex(where: { !$0.isBlank }) else {
      return UnsafeBufferPointer(start: nil, count: 0)
    }
    return UnsafeBufferPointer(rebasing: self[first...last])
  }

  /// Whether these are the bytes of a literal, ignoring the case of ASCII letters.
  @inlinable public func equalsIgnoringCase(_ text: StaticString) -> Bool {
    text.withUTF8Buffer { equalsIgnoringCase($0) }
  }

  /// Whether these are the same bytes, ignoring the case of ASCII letters.
  @inlinable public func equalsIgnoringCase(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
    count == other.count && indices.allSatisfy { self[$0].lowerCased == other[$0].lowerCased }
  }

  /// Whether these are the bytes of a literal.
  @inlinable public func equals(_ text: StaticString) -> Bool { text.withUTF8Buffer { equals($0) } }

  /// Whether these are the same bytes. Not for secrets: the time depends on how many bytes are equal.
  @inlinable public func equals(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
    count == other.count && (count == 0 || memcmp(baseAddress!, other.baseAddress!, count) == 0)
  }
}
