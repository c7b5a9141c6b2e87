import CCjose
import JSON
import Testing

/// jansson is another reader of JSON. Two differences are known: it refuses integers of more than 64 bits, and it skips a
/// NUL after a number or a literal.
@Suite struct JSONComparedWithJansson {
  private static let seeds = [
    #"{"a":[1,-2.5e1,"x\u00e9\ud83d\ude00",true,null,{"b":{}}],"c":""}"#,
    #"[[],{},"\"\\\/\b\f\n\r\t",0.0,-0,1E3]"#,
    #" {"device_name" : "EA", "all":false,"ttl_seconds":60.0 } "#, #"{"a":1,"a":2}"#, #"{"a":{"b":"\u0000"}}"#,
    "9223372036854775807", "12345678901234567890", "1e400", "\"\u{e9}\u{1F600}\u{7f}\"",
  ]

  /// What takes the place of a byte.
  private static let replacements =
    Array("{}[]\",:\\u0d8eE+-.1/tfn \n\u{1}\u{0}".utf8) + [0xFF, 0xC3, 0xED, 0x80]

  @Test(arguments: seeds)
  func `Each text with one byte changed, inserted or removed is read alike`(_ seed: String) {
    let bytes = Array(seed.utf8)
    compare(bytes)
    for index in bytes.indices {
      compare(Array(bytes[..<index]))
      compare(Array(bytes[..<index] + bytes[(index + 1)...]))
      for replacement in Self.replacements {
        compare(Array(bytes[..<index] + [replacement] + bytes[index...]))
        compare(Array(bytes[..<index] + [replacement] + bytes[(index + 1)...]))
      }
    }
  }

  private func compare(_ bytes: [UInt8]) {
    var error = json_error_t()
    let flags = Int(JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)
    let theirs = bytes.withUnsafeBytes { text in
      json_loadb(text.baseAddress, text.count, flags, &error)
    }
    defer { json_decref(theirs) }
    let ours = try? ParsedJSON(bytes)
    if bytes.contains(0) {
      #expect(ours == nil, "\(String(decoding: bytes, as: UTF8.self))")
    } else if let theirs {
      #expect(ours.map { isSame($0, theirs) } == true, "\(String(decoding: bytes, as: UTF8.self))")
    } else if json_error_code(&error) != json_error_numeric_overflow {
      #expect(ours == nil, "\(String(decoding: bytes, as: UTF8.self))")
    }
  }

  private func isSame(_ ours: ParsedJSON, _ theirs: UnsafeMutablePointer<json_t>) -> Bool {
    switch (ours, theirs.pointee.type) {
    case (.object(let object), JSON_OBJECT):
      return object.members.count == json_object_size(theirs)
        && object.members.allSatisfy { member in
          json_object_get(theirs, member.name).map { isSame(member.value, $0) } ?? false
        }
    case (.array(let elements), JSON_ARRAY):
      return elements.count == json_array_size(theirs)
        && elements.indices.allSatisfy { isSame(elements[$0], json_array_get(theirs, $0)) }
    case (.string(let text), JSON_STRING):
      return text.utf8.elementsEqual(String(cString: json_string_value(theirs)).utf8)
    case (.integer(let number), JSON_INTEGER): return number == json_integer_value(theirs)
    case (.real(let number), JSON_REAL): return number == json_real_value(theirs)
    case (.boolean(true), JSON_TRUE), (.boolean(false), JSON_FALSE), (.null, JSON_NULL): return true
    default: return false
    }
  }
}
