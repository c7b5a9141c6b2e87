private import Glibc

/// Kinds of ASCII characters, named as the grammars of RFC 9110 and RFC 9651 use them.
extension UInt8 {
  var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }
  var isLowerCaseLetter: Bool { self &- UInt8(ascii: "a") < 26 }
  var isUpperCaseLetter: Bool { self &- UInt8(ascii: "A") < 26 }
  var isLetter: Bool { isLowerCaseLetter || isUpperCaseLetter }
  var isLowerCaseHexDigit: Bool { isDigit || self &- UInt8(ascii: "a") < 6 }
  /// SP to `~`.
  var isPrintable: Bool { self &- 0x20 < 0x5F }

  /// What keys of members and parameters are of (RFC 9651, section 3.1.2).
  var isKeyCharacter: Bool {
    switch self {
    case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "*"): true
    default: isLowerCaseLetter || isDigit
    }
  }

  /// `tchar`, of which field names and methods are (RFC 9110, section 5.6.2).
  var isNameCharacter: Bool {
    switch self {
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
      UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default: isLetter || isDigit
    }
  }

  /// What tokens go on with (RFC 9651, section 3.3.4).
  var isTokenCharacter: Bool { isNameCharacter || self == UInt8(ascii: ":") || self == UInt8(ascii: "/") }

  /// What may stand around a field's value and is no part of it (RFC 9110, section 5.5).
  var isOptionalWhiteSpace: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }

  var lowerCased: UInt8 { isUpperCaseLetter ? self | 0x20 : self }
}

/// Whether these are the same bytes. Not for secrets: it takes as long as they are alike.
func equals(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
  left.count == right.count && (left.isEmpty || memcmp(left.baseAddress!, right.baseAddress!, left.count) == 0)
}
