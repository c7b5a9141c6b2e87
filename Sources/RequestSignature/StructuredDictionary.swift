internal import Encoding

/// A field value read as a dictionary (RFC 9651, section 3.2).
///
/// Texts are kept as ranges of `bytes`, so that reading takes few allocations. Of a repeated key the last value
/// counts, at the place of the first, as the RFC has it.
struct StructuredDictionary {
  /// Bytes of a field that is read. The headers of a request are not larger together.
  static let maximumLength = 16 * 1024
  /// Members, repeated ones counted.
  static let maximumMembers = 8
  /// Items of an inner list.
  static let maximumItems = 32
  /// Parameters of an item or an inner list, repeated ones counted.
  static let maximumParameters = 16

  /// The field value, joined of its lines.
  let bytes: [UInt8]
  private(set) var members: [Member] = []

  struct Member: Hashable {
    let key: Range<Int>
    let value: Value
    let parameters: [Parameter]
  }

  enum Value: Hashable {
    case item(BareItem)
    case innerList([Item])
  }

  struct Item: Hashable {
    let value: BareItem
    let parameters: [Parameter]
  }

  struct Parameter: Hashable {
    let key: Range<Int>
    let value: BareItem
  }

  /// A bare item (RFC 9651, section 3.3). A range is that of the text between the delimiters, as it was sent.
  enum BareItem: Hashable {
    case integer(Int64)
    case decimal(Range<Int>)
    case string(Range<Int>)
    case token(Range<Int>)
    /// In base64, padded, and without stray bits: the one form that these bytes have.
    case byteSequence(Range<Int>)
    case boolean(Bool)
    case date(Int64)
    case displayString(Range<Int>)
  }

  /// Reads a field value. The time is linear in its length.
  init(_ bytes: [UInt8]) throws(StructuredFieldError) {
    guard bytes.count <= Self.maximumLength else { throw .tooLong }
    self.bytes = bytes
    var parser = StructuredFieldParser(bytes)
    members = try parser.dictionary()
  }

  /// The member of this key.
  func member(_ key: some Sequence<UInt8>) -> Member? {
    members.first { bytes[$0.key].elementsEqual(key) }
  }

  /// The text of a range, which is ASCII.
  func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  /// The text that a string stands for: without the backslashes that protect quotes and backslashes.
  func unescaped(_ range: Range<Int>) -> String {
    guard bytes[range].contains(UInt8(ascii: "\\")) else { return text(range) }
    var isProtected = false
    let characters = bytes[range].filter { byte in
      isProtected = byte == UInt8(ascii: "\\") && !isProtected
      return !isProtected
    }
    return String(decoding: characters, as: UTF8.self)
  }

  /// The bytes that a byte sequence stands for.
  func decoded(_ range: Range<Int>) -> [UInt8] {
    bytes.withUnsafeBufferPointer { Base64.decode(canonical: $0.extracting(range)) }
  }

  /// Whether a range's text is this, which is ASCII.
  func isEqual(_ range: Range<Int>, _ text: StaticString) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      bytes.extracting(range).equals(text)
    }
  }
}
