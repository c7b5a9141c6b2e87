/// The grammar of RFC 8259, to the letter. The decoder takes more, such as a comma behind the last member.
struct JSONSyntax {
  /// Arrays and objects inside each other. Nothing that is asked for needs more than a few.
  static let maximumDepth = 64

  private let bytes: [UInt8]
  private var position = 0

  private init(bytes: [UInt8]) { self.bytes = bytes }

  /// Whether the bytes, which are UTF-8, are one JSON text.
  static func accepts(_ bytes: [UInt8]) -> Bool {
    var syntax = JSONSyntax(bytes: bytes)
    guard syntax.value(depth: 0) else { return false }
    syntax.skipSpace()
    return syntax.position == bytes.count
  }

  /// Where the values of a member of the object lie; of text that was accepted.
  /// - Parameter name: plain text. A member whose name is written with escapes is another.
  static func ranges(ofMember name: String, in bytes: [UInt8]) -> [Range<Int>] {
    var syntax = JSONSyntax(bytes: bytes)
    var ranges: [Range<Int>] = []
    syntax.skipSpace()
    _ = syntax.list(between: "{", "}") { syntax in
      guard let member = syntax.member(depth: 1) else { return false }
      if bytes[member.name].elementsEqual(name.utf8) { ranges.append(member.value) }
      return true
    }
    return ranges
  }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  /// Steps over the byte if it is the next one.
  private mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: byte) else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
  }

  private mutating func value(depth: Int) -> Bool {
    guard depth <= Self.maximumDepth else { return false }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return list(between: "{", "}") { $0.member(depth: depth + 1) != nil }
    case UInt8(ascii: "["): return list(between: "[", "]") { $0.value(depth: depth + 1) }
    case UInt8(ascii: "\""): return string()
    case UInt8(ascii: "t"): return word("true")
    case UInt8(ascii: "f"): return word("false")
    case UInt8(ascii: "n"): return word("null")
    default: return number()
    }
  }

  private mutating func list(
    between opening: Unicode.Scalar, _ closing: Unicode.Scalar, _ item: (inout JSONSyntax) -> Bool
  ) -> Bool {
    guard take(opening) else { return false }
    skipSpace()
    if take(closing) { return true }
    repeat {
      guard item(&self) else { return false }
      skipSpace()
    } while take(",")
    return take(closing)
  }

  /// Where a member's name, without its quotes, and its value lie; nil where there is none.
  private mutating func member(depth: Int) -> (name: Range<Int>, value: Range<Int>)? {
    skipSpace()
    let nameStart = position + 1
    guard string() else { return nil }
    let name = nameStart..<position - 1
    skipSpace()
    guard take(":") else { return nil }
    skipSpace()
    let valueStart = position
    guard value(depth: depth) else { return nil }
    return (name, valueStart..<position)
  }

  private mutating func string() -> Bool {
    guard take("\"") else { return false }
    while let byte = next, byte >= 0x20 {
      if take("\"") { return true }
      position += 1
      if byte == UInt8(ascii: "\\"), !escape() { return false }
    }
    return false
  }

  /// What follows a backslash.
  private mutating func escape() -> Bool {
    guard let byte = next else { return false }
    position += 1
    guard byte == UInt8(ascii: "u") else { return Self.escapes.contains(byte) }
    for _ in 0..<4 {
      guard let digit = next, Self.hexadecimal.contains(digit) else { return false }
      position += 1
    }
    return true
  }

  private static let escapes = Array(#""\/bfnrt"#.utf8)
  private static let hexadecimal = Array("0123456789abcdefABCDEF".utf8)

  private mutating func word(_ text: StaticString) -> Bool {
    for offset in 0..<text.utf8CodeUnitCount {
      guard next == text.utf8Start[offset] else { return false }
      position += 1
    }
    return true
  }

  private mutating func number() -> Bool {
    _ = take("-")
    // No digit stands behind a leading zero.
    guard take("0") || digits() else { return false }
    if take("."), !digits() { return false }
    if take("e") || take("E") {
      _ = take("+") || take("-")
      return digits()
    }
    return true
  }

  /// One digit or more.
  private mutating func digits() -> Bool {
    let start = position
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    return position > start
  }
}
