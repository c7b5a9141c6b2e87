/// Why bytes are not a structured field (RFC 9651), or are too large.
public enum StructuredFieldError: Error, Hashable, Sendable {
  /// The byte at this offset, or the end there, is not allowed.
  case unexpected(offset: Int)
  /// More bytes than `StructuredDictionary.maximumLength`.
  case tooLong
  /// More members than `StructuredDictionary.maximumMembers`.
  case tooManyMembers
  /// More items in one list than `StructuredDictionary.maximumItems`.
  case tooManyItems
  /// More parameters on one item or list than `StructuredDictionary.maximumParameters`.
  case tooManyParameters
}

extension StructuredFieldError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unexpected(let offset): "it is no structured field (RFC 9651) from byte \(offset) on"
    case .tooLong: "it is longer than \(StructuredDictionary.maximumLength) bytes"
    case .tooManyMembers: "it has more than \(StructuredDictionary.maximumMembers) members"
    case .tooManyItems: "it has a list of more than \(StructuredDictionary.maximumItems) items"
    case .tooManyParameters:
      "it has more than \(StructuredDictionary.maximumParameters) parameters in one place"
    }
  }
}
