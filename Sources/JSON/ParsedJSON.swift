/// A JSON text (RFC 8259) that was read strictly: UTF-8, no member twice, no U+0000, a bounded depth.
///
/// jansson, which Debian has, is not strict enough to read requests: it skips a NUL after a number or a literal. It also
/// refuses, as a whole, a text with an integer of more than 64 bits, a large real or half a surrogate pair, which a
/// payload may contain, and does not say in which member. `JSONTests` compares the two.
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
  /// The bytes of a value that was to be kept as it is. They are JSON by the grammar of RFC 8259; inside, members may
  /// be repeated, numbers may be of any size, and escapes may be of code units that are no text.
  case raw(ArraySlice<UInt8>)

  /// Arrays and objects inside each other.
  public static let maximumDepth = 64

  /// Reads a text.
  /// - Parameter rawMembers: the members of the outermost object whose values are kept as they are.
  public init(_ bytes: [UInt8], keepingRaw rawMembers: [String] = []) throws(JSONFault) {
    var parser = JSONParser(bytes: bytes, rawMembers: rawMembers)
    self = try parser.text()
  }

  /// The number, if it is a whole number of 64 bits: `60`, and also `60.0` and `6e1`.
  public var wholeNumber: Int64? {
    switch self {
    case .integer(let number): number
    // Up to here a `Double` is exact; a larger one may have been rounded.
    case .real(let number) where number.magnitude < 0x1p53: Int64(exactly: number)
    default: nil
    }
  }
}

/// The members of a JSON object, in their order.
public struct ParsedObject: Hashable, Sendable {
  public let members: [Member]

  public struct Member: Hashable, Sendable {
    public let name: String
    public let value: ParsedJSON
  }

  public init(members: [Member] = []) { self.members = members }

  /// The value of a member, nil where there is none. Names are compared byte by byte: Swift's own comparison equates
  /// texts of different scalars.
  public subscript(name: String) -> ParsedJSON? {
    members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
  }
}

/// Why bytes were not read as JSON.
public enum JSONFault: Error, Hashable, Sendable {
  case notUTF8
  /// At this byte, counted from 1, the grammar wants something else.
  case unexpected(byte: Int)
  case tooEarlyEnd
  /// More than `ParsedJSON.maximumDepth` levels.
  case tooDeep
  /// The text is JSON, with a member that is not accepted. The path is the names, and indices of arrays, that lead to
  /// it.
  case member(path: [String], MemberFault)

  public enum MemberFault: Hashable, Sendable {
    /// Two readers might each use another of the two values (RFC 8259, section 4).
    case repeated
    /// U+0000 is in the name or the value: C ends a text with it, and PostgreSQL has no text that contains it.
    case containsNUL
    /// A number that no finite `Double` is near.
    case tooLarge
  }
}
