internal import Encoding

/// The labels of a device: values by key.
public struct Labels: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  /// Values by key.
  public let values: [String: String]

  /// Labels of one device at most.
  public static let maximumCount = 16
  /// The length of a key, in characters.
  public static let keyLength = 1...64
  /// The length of a value, in characters.
  public static let valueLength = 0...64

  public init(_ values: [String: String]) { self.values = values }

  public init(dictionaryLiteral elements: (String, String)...) {
    values = Dictionary(uniqueKeysWithValues: elements)
  }

  /// Labels that a store read, from a JSON object of texts. Keys and values have no characters that JSON escapes.
  public init(stored json: String) {
    guard json.utf8.count > 2 else {
      values = [:]
      return
    }
    // Between quotation marks are, in turn, a key and its value.
    let parts = json.split(separator: "\"", omittingEmptySubsequences: false)
    var values: [String: String] = [:]
    var index = 1
    while index + 2 < parts.count {
      values[String(parts[index])] = String(parts[index + 2])
      index += 4
    }
    self.values = values
  }

  /// A JSON object, by keys in order.
  public var json: String {
    // Of most devices.
    guard !values.isEmpty else { return "{}" }
    let members = values.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
    return "{\(members.joined(separator: ","))}"
  }

  /// Whether the text is a valid key: 1 to 64 of `A-Z a-z 0-9 . _ / -`.
  public static func isKey(_ text: String) -> Bool {
    keyLength.contains(text.utf8.count) && text.utf8.allSatisfy { isCharacter($0) || $0 == UInt8(ascii: "/") }
  }

  /// Whether the text is a valid value: 0 to 64 of `A-Z a-z 0-9 . _ -`.
  public static func isValue(_ text: String) -> Bool {
    valueLength.contains(text.utf8.count) && text.utf8.allSatisfy(isCharacter)
  }

  static func isCharacter(_ byte: UInt8) -> Bool {
    byte.isLetter || byte.isDigit || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
      || byte == UInt8(ascii: "-")
  }
}

/// A change of a device's labels: a merge patch (RFC 7396).
public struct LabelPatch: Hashable, Sendable {
  /// Whether the labels that `values` does not name are removed.
  public let removesOthers: Bool
  /// New values by key; nil removes a label.
  public let values: [String: String?]

  public init(removesOthers: Bool = false, _ values: [String: String?]) {
    self.removesOthers = removesOthers
    self.values = values
  }

  /// Removes all labels.
  public static let removeAll = LabelPatch(removesOthers: true, [:])

  /// The labels after the change. Throws `invalid` if there are too many.
  public func applied(to labels: Labels) throws(RegistryError) -> Labels {
    var result = removesOthers ? [:] : labels.values
    for (key, value) in values { result[key] = value }
    guard result.count <= Labels.maximumCount else { throw Labels.tooMany }
    return Labels(result)
  }

  /// A JSON object of texts and nulls.
  public var json: String {
    let members = values.map { key, value in "\"\(key)\":\(value.map { "\"\($0)\"" } ?? "null")" }
    return "{\(members.joined(separator: ","))}"
  }
}

extension Labels {
  public static let tooMany = RegistryError.invalid(
    field: "labels", message: "a device may have \(maximumCount) labels, and this one would have more")
}
