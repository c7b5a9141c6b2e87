internal import FoundationEssentials

/// The grammar of RFC 8259, to the letter. The decoder takes more, such as a comma behind the last member.
struct JSONSyntax {
  /// Arrays and objects inside each other. Nothing that is asked for needs more than a few.
  static let maximumDepth = 64

  private let bytes: [UInt8]
  private var position = 0
  private var isTooDeep = false
  private var nameProblem: NameProblem?

  private init(bytes: [UInt8]) { self.bytes = bytes }

  /// Why bytes are not a JSON text that is asked for.
  enum Malformation: Error, Equatable {
    /// At which byte, counted from 1, something else was expected.
    case unexpected(byte: Int)
    case tooEarlyEnd
    case tooDeep
    /// The text is JSON, with a member that is unknown or repeated.
    case name(field: String, message: String)
  }

  /// Tests that the bytes, which are UTF-8, are one JSON text, with no member that is unknown or given twice.
  /// - Parameter members: what is known of the text; nil where any JSON will do.
  static func test(_ bytes: [UInt8], _ members: JSONMembers? = nil) throws(Malformation) {
    var syntax = JSONSyntax(bytes: bytes)
    let isValue = syntax.value(depth: 0, members)
    if isValue { syntax.skipSpace() }
    guard isValue, syntax.position == bytes.count else {
      if syntax.isTooDeep { throw .tooDeep }
      throw syntax.position < bytes.count ? .unexpected(byte: syntax.position + 1) : .tooEarlyEnd
    }
    if let problem = syntax.nameProblem {
      throw .name(field: problem.path.joined(separator: "."), message: problem.message)
    }
  }

  /// Whether the bytes, which are UTF-8, are one JSON text.
  static func accepts(_ bytes: [UInt8]) -> Bool {
    do { try test(bytes) } catch { return false }
    return true
  }

  /// Where the values of a member of the object lie; of text that was accepted.
  /// - Parameter name: plain text. A member whose name is written with escapes is another.
  static func ranges(ofMember name: String, in bytes: [UInt8]) -> [Range<Int>] {
    var syntax = JSONSyntax(bytes: bytes)
    var ranges: [Range<Int>] = []
    syntax.skipSpace()
    _ = syntax.list(between: "{", "}") { syntax in
      guard let found = syntax.memberName() else { return false }
      let start = syntax.position
      guard syntax.value(depth: 1, nil) else { return false }
      if bytes[found].elementsEqual(name.utf8) { ranges.append(start..<syntax.position) }
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

  private mutating func value(depth: Int, _ members: JSONMembers?) -> Bool {
    guard depth <= Self.maximumDepth else {
      isTooDeep = true
      return false
    }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return object(depth: depth, members)
    case UInt8(ascii: "["): return array(depth: depth, members)
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

  private mutating func object(depth: Int, _ members: JSONMembers?) -> Bool {
    var given = GivenNames()
    return list(between: "{", "}") { syntax in
      guard let name = syntax.memberName() else { return false }
      guard let members, members.isObject, syntax.nameProblem == nil else {
        return syntax.value(depth: depth + 1, nil)
      }
      let index = syntax.test(name, given: &given, members)
      guard syntax.nameProblem == nil else { return syntax.value(depth: depth + 1, nil) }
      guard syntax.value(depth: depth + 1, index.flatMap { members.values[$0] }) else { return false }
      if syntax.nameProblem != nil { syntax.nameProblemIsInside(syntax.text(ofName: name)) }
      return true
    }
  }

  private mutating func array(depth: Int, _ members: JSONMembers?) -> Bool {
    var index = 0
    return list(between: "[", "]") { syntax in
      let isFirst = syntax.nameProblem == nil
      guard syntax.value(depth: depth + 1, isFirst ? members?.elements : nil) else { return false }
      if isFirst, syntax.nameProblem != nil { syntax.nameProblemIsInside(String(index)) }
      index += 1
      return true
    }
  }

  /// Where a member's name lies, without its quotes; nil where there is none. Steps over it and to the value.
  private mutating func memberName() -> Range<Int>? {
    skipSpace()
    let start = position + 1
    guard string() else { return nil }
    let name = start..<position - 1
    skipSpace()
    guard take(":") else { return nil }
    skipSpace()
    return name
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
    guard let byte = next, byte == UInt8(ascii: "u") || Self.escapes.contains(byte) else { return false }
    position += 1
    guard byte == UInt8(ascii: "u") else { return true }
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

// The names of members.
extension JSONSyntax {
  /// The first name that is unknown or repeated. Later ones are not reported.
  private struct NameProblem {
    /// The names, and places in arrays, that lead to it.
    var path: [String]
    let message: String
  }

  /// Tests a member's name and returns its index among the known names; nil for an unknown one.
  private mutating func test(_ name: Range<Int>, given: inout GivenNames, _ members: JSONMembers) -> Int? {
    let isPlain = !bytes[name].contains(UInt8(ascii: "\\"))
    let index =
      isPlain ? members.names.index(of: bytes[name]) : members.names.index(of: text(ofName: name).utf8)
    let fault =
      index == nil && members.isOpen ? given.note(other: text(ofName: name)) : given.note(index)
    if let fault {
      let text = text(ofName: name)
      nameProblem = NameProblem(
        path: [NameList.shown(text)], message: fault.message(for: text, among: members.names, of: "member"))
    }
    return index
  }

  private mutating func nameProblemIsInside(_ step: String) { nameProblem?.path.insert(step, at: 0) }

  /// A name without its escapes. One that no text can have, such as half a surrogate pair, stays as it is.
  private func text(ofName name: Range<Int>) -> String {
    let raw = bytes[name]
    let isPlain = !raw.contains(UInt8(ascii: "\\"))
    let decoded =
      isPlain
      ? nil : try? JSONDecoder().decode(String.self, from: Data(bytes[name.lowerBound - 1...name.upperBound]))
    return decoded ?? String(decoding: raw, as: UTF8.self)
  }
}
