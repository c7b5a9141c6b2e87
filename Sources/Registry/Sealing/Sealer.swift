internal import Encoding

/// Seals secrets before they are stored, with a key that is not in the database, and opens what is stored.
///
/// A box begins with a byte for its format and the id of its key, by which SQL finds what a key sealed.
public protocol Sealer: Sendable {
  /// The keys that open boxes, at least one. The first one seals.
  var keys: [SealingKeyID] { get }

  /// A box of the bytes, which opens only in this place. Two boxes of the same bytes differ. It takes a few
  /// microseconds.
  func seal(_ plain: UnsafeBufferPointer<UInt8>, for place: SealedPlace) -> [UInt8]

  /// The bytes in the box. It takes a few microseconds. Throws `unavailable`, with a cause that names the place, if the
  /// box is not of this place, was changed, or was sealed with a key that is not among `keys`.
  func open(_ box: [UInt8], of place: SealedPlace) throws(RegistryError) -> SecretBytes
}

/// The place of a sealed value in the database. Its box opens in no other place, so boxes cannot be swapped.
public struct SealedPlace: Hashable, Sendable {
  public let table: String
  public let column: String
  /// The id of the row.
  public let id: String

  public init(table: String, column: String, id: String) {
    self.table = table
    self.column = column
    self.id = id
  }

  /// The place in an unambiguous form, for authentication with the box: names and ids contain no zero byte.
  public var associatedData: [UInt8] {
    var data: [UInt8] = []
    data.reserveCapacity(table.utf8.count + column.utf8.count + id.utf8.count + 3)
    data.append(contentsOf: table.utf8)
    data.append(0)
    data.append(contentsOf: column.utf8)
    data.append(0)
    data.append(contentsOf: id.utf8)
    data.append(0)
    return data
  }
}

extension SealedPlace: CustomStringConvertible {
  public var description: String { "\(table).\(column) of \(id)" }
}

/// Names a sealing key. It is derived from the key, and is no secret.
public struct SealingKeyID: Hashable, Sendable {
  /// The number of bytes of an id.
  public static let length = 8
  private let word: UInt64

  /// Nil if the number of bytes is not `length`.
  public init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.length else { return nil }
    word = bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The key of a box, from the bytes after its first; nil if it is too short.
  public init?(ofBox box: [UInt8]) { self.init(box.dropFirst().prefix(Self.length)) }
}

extension SealingKeyID: CustomStringConvertible {
  /// 16 hexadecimal digits.
  public var description: String { Hex.text(word) }
}
