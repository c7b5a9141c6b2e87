/// The name of a group of devices: 1 to 64 of `A-Z a-z 0-9 . _ -`.
public struct GroupName: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let text: String

  public static let length = 1...64
  /// Groups that one device may be in.
  public static let maximumPerDevice = 100

  /// Nil if the text is not a valid name.
  public init?(_ text: String) {
    guard Self.length.contains(text.utf8.count), text.utf8.allSatisfy(Labels.isCharacter) else { return nil }
    self.text = text
  }

  /// A name that a store read; it was validated when it was written.
  public init(stored text: some StringProtocol) { self.text = String(text) }

  /// Names that a store read, with blanks between.
  public static func list(stored text: String) -> [GroupName] {
    text.isEmpty ? [] : text.split(separator: " ").map { GroupName(stored: $0) }
  }

  /// By bytes.
  public static func < (left: GroupName, right: GroupName) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  public var description: String { text }
}

extension [GroupName] {
  /// The same sorted names, with this one or without it.
  public func changed(_ name: GroupName, isMember: Bool) -> [GroupName] {
    let others = filter { $0 != name }
    return isMember ? (others + [name]).sorted() : others
  }

  /// The names with blanks between, as stores keep a device's groups.
  public var stored: String { map(\.text).joined(separator: " ") }
}
