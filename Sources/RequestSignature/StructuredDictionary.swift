internal import Encoding

/// A parsed dictionary (RFC 9651, section 3.2).
///
/// Texts are ranges of `bytes`, so that parsing allocates little. For a repeated key the last value counts, at the
/// place of the first, as the RFC requires.
struct StructuredDictionary {
  /// Bytes of a field. All header fields of a request together are not larger.
  static let maximumLength = 16 * 1024
  /// Members, including repeated ones.
  static let maximumMembers = 8
  /// Items of an inner list.
  static let maximumItems = 32
  /// Parameters of an item or an inner list, including repeated ones.
  static let maximumParameters = 16

  /// The field value: its lines, joined.
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

  /// A bare item (RFC 9651, section 3.3). A range is the text between the delimiters, as sent.
  enum BareItem: Hashable {
    case integer(Int64)
    case decimal(Range<Int>)
    case string(Range<Int>)
    case token(Range<Int>)
    /// In canonical base64: padded, without stray bits.
    case byteSequence(Range<Int>)
    case boolean(Bool)
    case date(Int64)
    case displayString(Range<Int>)
  }

  /// Parses a field value, in linear time.
  init(_ bytes: [UInt8]) throws(StructuredFieldError) {
    guard bytes.count <= Self.maximumLength else { throw .tooLong }
    self.bytes = bytes
    var parser = StructuredFieldParser(bytes)
    members = try parser.dictionary()
  }

  /// The member with this key.
  func member(_ key: some Sequence<UInt8>) -> Member? {
    members.first { bytes[$0.key].elementsEqual(key) }
  }

  /// The text of a range, which is ASCII.
  func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  /// The value of a string: without the backslashes that escape quotes and backslashes.
  func unescaped(_ range: Range<Int>) -> String {
    guard bytes[range].contains(UInt8(ascii: "\\")) else { return text(range) }
    var isProtected = false
    let characters = bytes[range].filter { byte in
      isProtected = byte == UInt8(ascii: "\\") && !isProtected
      return !isProtected
    }
    return String(decoding: characters, as: UTF8.self)
  }

  /// The bytes of a byte sequence.
  func decoded(_ range: Range<Int>) -> [UInt8] {
    bytes.withUnsafeBufferPointer { Base64.decode(canonical: $0.extracting(range)) }
  }

  /// Whether a range's text equals this ASCII text.
  func isEqual(_ range: Range<Int>, _ text: StaticString) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      bytes.extracting(range).equals(text)
    }
  }
}
