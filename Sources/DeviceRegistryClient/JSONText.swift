internal import Encoding
internal import Foundation

/// A JSON value as text, to keep a part of it byte for byte: a decoder would change how numbers are written. The text
/// must be well-formed; a decoder must have read it before.
struct JSONText {
  /// Without white space around it.
  let bytes: Data.SubSequence

  init(_ bytes: Data.SubSequence) {
    var bytes = bytes
    while let first = bytes.first, first.isJSONWhiteSpace { bytes.removeFirst() }
    while let last = bytes.last, last.isJSONWhiteSpace { bytes.removeLast() }
    self.bytes = bytes
  }

  /// The value of an object's member, the last one with this name; nil for other values, or without such a member.
  func member(_ name: String) -> JSONText? {
    guard bytes.first == UInt8(ascii: "{") else { return nil }
    var found: JSONText?
    for part in parts {
      guard let end = Self.endOfString(part) else { continue }
      let value = part[end...].drop(while: \.isJSONWhiteSpace)
      guard value.first == UInt8(ascii: ":"), Self.isString(part[..<end], name) else { continue }
      found = JSONText(value.dropFirst())
    }
    return found
  }

  /// The index after the string that the text begins with; nil if it begins with no string.
  private static func endOfString(_ text: Data.SubSequence) -> Int? {
    guard text.first == UInt8(ascii: "\"") else { return nil }
    var isEscaped = false
    for (index, byte) in zip(text.indices, text).dropFirst() {
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        return index + 1
      }
    }
    return nil
  }

  /// Whether a string has this value. A name may have escapes.
  private static func isString(_ text: Data.SubSequence, _ value: String) -> Bool {
    if text.elementsEqual("\"\(value)\"".utf8) { return true }
    return text.contains(UInt8(ascii: "\\"))
      && (try? JSONDecoder().decode(String.self, from: Data(text))) == value
  }

  /// The elements of an array; nil for other values.
  var elements: [JSONText]? {
    bytes.first == UInt8(ascii: "[") ? parts.map { JSONText($0) } : nil
  }

  /// The parts between the commas of the outermost object or array.
  private var parts: [Data.SubSequence] {
    var parts: [Data.SubSequence] = []
    var depth = 0
    var isInString = false
    var isEscaped = false
    var start = bytes.startIndex + 1
    for (index, byte) in zip(bytes.indices, bytes) {
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isInString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        if depth == 0 { parts.append(JSONText(bytes[start..<index]).bytes) }
      case UInt8(ascii: ",") where depth == 1:
        parts.append(JSONText(bytes[start..<index]).bytes)
        start = index + 1
      default: break
      }
    }
    return parts.count == 1 && parts[0].isEmpty ? [] : parts
  }
}
