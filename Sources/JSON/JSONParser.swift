internal import Encoding

/// Parses a text in one pass.
struct JSONParser {
  private let bytes: [UInt8]
  private let rawMembers: [String]
  private var position = 0
  /// Whether the parser is inside a raw value, which may contain U+0000.
  private var isRaw = false
  /// The first member that is refused. Reported only if the rest of the text is valid JSON.
  private var memberFault: (path: [String], fault: JSONFault.MemberFault)?

  init(bytes: [UInt8], rawMembers: [String]) {
    self.bytes = bytes
    self.rawMembers = rawMembers
  }

  mutating func text() throws(JSONFault) -> ParsedJSON {
    try testEncoding()
    let value = try value(depth: 0)
    skipSpace()
    guard position == bytes.count else { throw unexpected }
    if let memberFault { throw .member(path: memberFault.path, memberFault.fault) }
    return value
  }

  private func testEncoding() throws(JSONFault) {
    guard !ParsedJSON.byteOrderMarks.contains(where: bytes.starts) else { throw .byteOrderMark }
    if let first = bytes.firstIndex(of: 0) {
      // ASCII text in UTF-16 is also valid UTF-8, with a NUL in every character.
      throw bytes[first...].allSatisfy { $0 == 0 } ? .terminatingNUL : .notUTF8
    }
    guard (try? UTF8Span(validating: bytes.span)) != nil else { throw .notUTF8 }
  }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private var unexpected: JSONFault {
    position < bytes.count ? .unexpected(byte: position + 1) : .tooEarlyEnd
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(JSONFault) {
    guard take(character) else { throw unexpected }
  }

  private mutating func skipSpace() {
    while let byte = next, byte.isJSONWhiteSpace { position += 1 }
  }

  private mutating func value(depth: Int) throws(JSONFault) -> ParsedJSON {
    guard depth <= ParsedJSON.maximumDepth else { throw .tooDeep }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return .object(try object(depth: depth))
    case UInt8(ascii: "["): return .array(try array(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .boolean(true))
    case UInt8(ascii: "f"): return try word("false", .boolean(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func object(depth: Int) throws(JSONFault) -> ParsedObject {
    var members: [ParsedObject.Member] = []
    var names = Names()
    try list(between: "{", "}") { (parser) throws(JSONFault) in
      parser.skipSpace()
      guard parser.next == UInt8(ascii: "\"") else { throw parser.unexpected }
      let wasAccepted = parser.memberFault == nil
      let name = try parser.string()
      parser.skipSpace()
      try parser.expect(":")
      let value = try parser.memberValue(of: name, depth: depth)
      if wasAccepted { parser.prefixFault(with: name) }
      if names.isRepeated(name, after: members) { parser.note(.repeated, path: [name]) }
      members.append(ParsedObject.Member(name: name, value: value))
    }
    return ParsedObject(members: members)
  }

  private mutating func memberValue(of name: String, depth: Int) throws(JSONFault) -> ParsedJSON {
    guard depth == 0, rawMembers.contains(where: { $0.utf8.elementsEqual(name.utf8) }) else {
      return try value(depth: depth + 1)
    }
    skipSpace()
    let start = position
    isRaw = true
    _ = try value(depth: depth + 1)
    isRaw = false
    return .raw(bytes[start..<position])
  }

  private mutating func array(depth: Int) throws(JSONFault) -> [ParsedJSON] {
    var elements: [ParsedJSON] = []
    try list(between: "[", "]") { (parser) throws(JSONFault) in
      let wasAccepted = parser.memberFault == nil
      let value = try parser.value(depth: depth + 1)
      if wasAccepted { parser.prefixFault(with: String(elements.count)) }
      elements.append(value)
    }
    return elements
  }

  private mutating func list(
    between opening: Unicode.Scalar, _ closing: Unicode.Scalar,
    _ item: (inout JSONParser) throws(JSONFault) -> Void
  ) throws(JSONFault) {
    try expect(opening)
    skipSpace()
    if take(closing) { return }
    repeat {
      try item(&self)
      skipSpace()
    } while take(",")
    try expect(closing)
  }

  private mutating func note(_ fault: JSONFault.MemberFault, path: [String] = []) {
    if memberFault == nil { memberFault = (path, fault) }
  }

  private mutating func prefixFault(with step: String) { memberFault?.path.insert(step, at: 0) }

  private mutating func word(_ text: StaticString, _ value: ParsedJSON) throws(JSONFault) -> ParsedJSON {
    for offset in 0..<text.utf8CodeUnitCount {
      guard next == text.utf8Start[offset] else { throw unexpected }
      position += 1
    }
    return value
  }

  private mutating func number() throws(JSONFault) -> ParsedJSON {
    let start = position
    _ = take("-")
    // No digit follows a leading zero.
    if !take("0") { try digits() }
    var isWhole = true
    if take(".") {
      isWhole = false
      try digits()
    }
    if take("e") || take("E") {
      isWhole = false
      _ = take("+") || take("-")
      try digits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isWhole, let number = Int64(text) { return .integer(number) }
    let number = Double(text) ?? .infinity
    if !number.isFinite { note(.tooLarge) }
    return .real(number)
  }

  private mutating func digits() throws(JSONFault) {
    let start = position
    while let byte = next, byte.isDigit { position += 1 }
    guard position > start else { throw unexpected }
  }
}

// Strings (RFC 8259, section 7).
extension JSONParser {
  private mutating func string() throws(JSONFault) -> String {
    try expect("\"")
    let start = position
    var hasEscapes = false
    while !take("\"") {
      guard let byte = next, byte >= 0x20 else { throw unexpected }
      position += 1
      guard byte == UInt8(ascii: "\\") else { continue }
      hasEscapes = true
      try escape()
    }
    let content = start..<position - 1
    return hasEscapes ? unescaped(content) : String(decoding: bytes[content], as: UTF8.self)
  }

  /// Skips an escape after its backslash.
  private mutating func escape() throws(JSONFault) {
    guard let byte = next, byte == UInt8(ascii: "u") || Self.character(escapedAs: byte) != nil else {
      throw unexpected
    }
    position += 1
    guard byte == UInt8(ascii: "u") else { return }
    for _ in 0..<Self.hexadecimalDigits {
      guard let digit = next, Hex.value(digit) != nil else { throw unexpected }
      position += 1
    }
  }

  /// Digits of `\u`.
  private static let hexadecimalDigits = 4

  private static func character(escapedAs letter: UInt8) -> UInt8? {
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): letter
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: nil
    }
  }

  /// The text of a string whose escapes are well formed.
  private mutating func unescaped(_ content: Range<Int>) -> String {
    var text: [UInt8] = []
    text.reserveCapacity(content.count)
    var rest = bytes[content]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\"), let letter = rest.popFirst() else {
        text.append(byte)
        continue
      }
      if let character = Self.character(escapedAs: letter) {
        text.append(character)
        continue
      }
      let scalar = scalar(takenFrom: &rest)
      if scalar.value == 0, !isRaw { note(.containsNUL) }
      text.append(contentsOf: scalar.utf8)
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Reads the scalar whose digits follow `\u`; a surrogate pair takes two escapes. Notes an unpaired surrogate.
  private mutating func scalar(takenFrom rest: inout ArraySlice<UInt8>) -> Unicode.Scalar {
    let value = Self.codeUnit(takenFrom: &rest)
    if UTF16.isLeadSurrogate(value), rest.starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) {
      var second = rest.dropFirst(2)
      let trail = Self.codeUnit(takenFrom: &second)
      if UTF16.isTrailSurrogate(trail) {
        rest = second
        return Unicode.Scalar(0x10000 + (UInt32(value & 0x3FF) << 10 | UInt32(trail & 0x3FF)))!
      }
    }
    if let scalar = Unicode.Scalar(value) { return scalar }
    note(.unpairedSurrogate)
    return "\u{FFFD}"
  }

  private static func codeUnit(takenFrom rest: inout ArraySlice<UInt8>) -> UInt16 {
    let digits = rest.prefix(hexadecimalDigits)
    rest = rest.dropFirst(hexadecimalDigits)
    return digits.reduce(0) { $0 << 4 | UInt16(Hex.value($1) ?? 0) }
  }
}

/// Finds repeated names. Compares a few names one by one, and puts more into a set.
private struct Names {
  private var names: Set<[UInt8]> = []

  private static let mostCompared = 16

  /// - Parameter members: the members before this one.
  mutating func isRepeated(_ name: String, after members: [ParsedObject.Member]) -> Bool {
    guard members.count > Self.mostCompared else {
      return members.contains { $0.name.utf8.elementsEqual(name.utf8) }
    }
    if names.isEmpty { names = Set(members.map { Array($0.name.utf8) }) }
    return !names.insert(Array(name.utf8)).inserted
  }
}
