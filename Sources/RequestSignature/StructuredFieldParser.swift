internal import Encoding

/// Parses structured fields with the algorithms of RFC 9651, section 4.2. It reads forward only, one byte at a time,
/// and nests no deeper than the grammar.
struct StructuredFieldParser {
  typealias Parameter = StructuredDictionary.Parameter
  typealias Item = StructuredDictionary.Item
  typealias Member = StructuredDictionary.Member

  private let bytes: [UInt8]
  private(set) var offset = 0

  /// Capacity for the items and parameters of most signatures.
  private static let usualCount = 4

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// RFC 9651, section 4.2.2, with the white space around it.
  mutating func dictionary() throws(StructuredFieldError) -> [Member] {
    var members: [Member] = []
    var count = 0
    skipSpaces()
    while next != nil {
      count += 1
      guard count <= StructuredDictionary.maximumMembers else { throw .tooManyMembers }
      let member = try self.member()
      if let index = members.firstIndex(where: { isSameText($0.key, member.key) }) {
        members[index] = member
      } else {
        members.append(member)
      }
      skipSpaces()
      if next == nil { break }
      skipOptionalWhiteSpace()
      try expect(UInt8(ascii: ","))
      skipOptionalWhiteSpace()
      if next == nil { throw unexpected }
    }
    return members
  }

  private mutating func member() throws(StructuredFieldError) -> Member {
    let key = try self.key()
    guard take(UInt8(ascii: "=")) else {
      return Member(key: key, value: .item(.boolean(true)), parameters: try parameters())
    }
    let value: StructuredDictionary.Value =
      next == UInt8(ascii: "(") ? .innerList(try innerList()) : .item(try bareItem())
    return Member(key: key, value: value, parameters: try parameters())
  }

  /// RFC 9651, section 4.2.1.2.
  private mutating func innerList() throws(StructuredFieldError) -> [Item] {
    try expect(UInt8(ascii: "("))
    var items: [Item] = []
    items.reserveCapacity(Self.usualCount)
    while true {
      skipSpaces()
      if take(UInt8(ascii: ")")) { return items }
      guard items.count < StructuredDictionary.maximumItems else { throw .tooManyItems }
      items.append(Item(value: try bareItem(), parameters: try parameters()))
      guard next == UInt8(ascii: " ") || next == UInt8(ascii: ")") else { throw unexpected }
    }
  }

  /// RFC 9651, section 4.2.3.2.
  private mutating func parameters() throws(StructuredFieldError) -> [Parameter] {
    guard next == UInt8(ascii: ";") else { return [] }
    var parameters: [Parameter] = []
    parameters.reserveCapacity(Self.usualCount)
    var count = 0
    while take(UInt8(ascii: ";")) {
      count += 1
      guard count <= StructuredDictionary.maximumParameters else { throw .tooManyParameters }
      skipSpaces()
      let key = try self.key()
      let value = take(UInt8(ascii: "=")) ? try bareItem() : .boolean(true)
      let parameter = Parameter(key: key, value: value)
      if let index = parameters.firstIndex(where: { isSameText($0.key, key) }) {
        parameters[index] = parameter
      } else {
        parameters.append(parameter)
      }
    }
    return parameters
  }

  /// RFC 9651, section 4.2.3.3.
  private mutating func key() throws(StructuredFieldError) -> Range<Int> {
    guard let first = next, first.isLowerCaseLetter || first == UInt8(ascii: "*") else { throw unexpected }
    return takeAll { byte in
      switch byte {
      case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "*"): true
      default: byte.isLowerCaseLetter || byte.isDigit
      }
    }
  }

  private func isSameText(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    withText(left) { left in withText(right) { left.equals($0) } }
  }
}

// MARK: - Steps

extension StructuredFieldParser {
  /// The next byte; nil at the end.
  var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  var unexpected: StructuredFieldError { .unexpected(offset: offset) }

  /// Calls `body` with a text that was parsed.
  func withText<Value>(_ range: Range<Int>, _ body: (UnsafeBufferPointer<UInt8>) -> Value) -> Value {
    bytes.withUnsafeBufferPointer { body($0.extracting(range)) }
  }

  /// Skips the next byte, which exists.
  mutating func step() { offset += 1 }

  /// Skips the next byte if it is this one.
  mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    offset += 1
    return true
  }

  mutating func expect(_ byte: UInt8) throws(StructuredFieldError) {
    guard take(byte) else { throw unexpected }
  }

  /// Skips all bytes of a kind, and returns their range.
  mutating func takeAll(where isOfKind: (UInt8) -> Bool) -> Range<Int> {
    let start = offset
    offset = bytes.withUnsafeBufferPointer { bytes in
      var end = start
      while end < bytes.count, isOfKind(bytes[end]) { end += 1 }
      return end
    }
    return start..<offset
  }

  mutating func skipSpaces() { _ = takeAll { $0 == UInt8(ascii: " ") } }

  mutating func skipOptionalWhiteSpace() {
    _ = takeAll { $0.isBlank }
  }
}
