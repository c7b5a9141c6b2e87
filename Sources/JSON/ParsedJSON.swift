/// A strictly parsed JSON text (RFC 8259): UTF-8, no repeated members, no U+0000, a bounded depth.
///
/// jansson is not strict enough for requests: it skips a NUL after a number or a literal. It also refuses integers of
/// more than 64 bits, which a payload may contain, and does not name the member that it refuses.
/// `JSONTests` compares the two.
public enum ParsedJSON: Hashable, Sendable {
  case object(ParsedObject)
  case array([ParsedJSON])
  case string(String)
  /// A number without fraction or exponent, of 64 bits.
  case integer(Int64)
  /// Any other number: the nearest `Double`, which is finite.
  case real(Double)
  case boolean(Bool)
  case null
  /// The unchanged bytes of a value, as strictly parsed as the rest, but with `\u0000` allowed.
  case raw(ArraySlice<UInt8>)

  /// Levels of nested arrays and objects.
  public static let maximumDepth = 64

  /// U+FEFF in UTF-8 and in both forms of UTF-16.
  public static let byteOrderMarks: [[UInt8]] = [[0xEF, 0xBB, 0xBF], [0xFE, 0xFF], [0xFF, 0xFE]]

  /// Parses a text.
  /// - Parameter rawMembers: the members of the outermost object whose bytes are kept unchanged.
  public init(_ bytes: [UInt8], keepingRaw rawMembers: [String] = []) throws(JSONFault) {
    var parser = JSONParser(bytes: bytes, rawMembers: rawMembers)
    self = try parser.text()
  }

  /// The number, if it is a whole number of 64 bits: `60`, and also `60.0` and `6e1`.
  public var wholeNumber: Int64? {
    switch self {
    case .integer(let number): number
    // Below 2^53 every whole number is exact; a larger one may be rounded.
    case .real(let number) where number.magnitude < 0x1p53: Int64(exactly: number)
    default: nil
    }
  }
}

/// The members of a JSON object, in the order of the text.
public struct ParsedObject: Hashable, Sendable {
  public let members: [Member]

  public struct Member: Hashable, Sendable {
    public let name: String
    public let value: ParsedJSON
  }

  public init(members: [Member] = []) { self.members = members }

  /// The value of a member. Names are compared byte by byte, because Swift's `==` equates some strings of different
  /// scalars.
  public subscript(name: String) -> ParsedJSON? {
    members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
  }
}

/// Why parsing failed.
public enum JSONFault: Error, Hashable, Sendable {
  case notUTF8
  /// The text begins with U+FEFF, which JSON texts must not have (RFC 8259, section 8.1).
  case byteOrderMark
  /// The text ends with NULs, as C strings do.
  case terminatingNUL
  /// A syntax error at this byte, counted from 1.
  case unexpected(byte: Int)
  case tooEarlyEnd
  /// More than `ParsedJSON.maximumDepth` levels.
  case tooDeep
  /// The text is valid JSON, but a member is refused. The path has the names and array indices of the member.
  case member(path: [String], MemberFault)

  public enum MemberFault: Hashable, Sendable {
    /// Parsers differ in which of the values they use (RFC 8259, section 4).
    case repeated
    /// The name or the value contains U+0000, which ends C strings and which PostgreSQL cannot store in text.
    case containsNUL
    /// A number beyond the range of `Double`, which many parsers refuse.
    case tooLarge
    /// An escape such as `\ud800` without its pair, which no UTF-8 text can contain (RFC 8259, section 8.2).
    case unpairedSurrogate
  }
}
