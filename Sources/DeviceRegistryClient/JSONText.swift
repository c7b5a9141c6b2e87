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
  /// Names are compared without decoding escapes.
  func member(_ name: String) -> JSONText? {
    guard bytes.first == UInt8(ascii: "{") else { return nil }
    let quoted = Array("\"\(name)\"".utf8)
    var found: JSONText?
    for part in parts where part.starts(with: quoted) {
      let value = part.dropFirst(quoted.count).drop(while: \.isJSONWhiteSpace)
      guard value.first == UInt8(ascii: ":") else { continue }
      found = JSONText(value.dropFirst())
    }
    return found
  }

  /// The elements of an array; none for what is no array.
  var elements: [JSONText] {
    bytes.first == UInt8(ascii: "[") ? parts.map { JSONText($0) } : []
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
