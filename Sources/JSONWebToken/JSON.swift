internal import CCjose

/// A JSON value of the few kinds that tokens and keys have.
enum JSONValue {
  case string(String)
  /// Seconds and the like: what a `Double` does not hold exactly, no token needs.
  case number(Double)
  case array([JSONValue])
  case object(JSONObject)
  /// `true`, `false` and `null`.
  case other

  /// The array's elements if all of them are strings.
  var strings: [String]? {
    guard case .array(let elements) = self else { return nil }
    let strings = elements.compactMap { if case .string(let text) = $0 { text } else { nil } }
    return strings.count == elements.count ? strings : nil
  }
}

/// A JSON object as jansson parsed it.
///
/// One that has a member twice is none: two readers might each see another of the two (RFC 8725, section 2.4;
/// RFC 7519, section 4). Neither is one with invalid UTF-8, a NUL in a string, or anything behind it.
final class JSONObject {
  private let object: UnsafeMutablePointer<json_t>

  /// Nil unless the bytes are one JSON object.
  init?(parsing bytes: UnsafeBufferPointer<UInt8>) {
    let value = bytes.withMemoryRebound(to: CChar.self) { characters in
      json_loadb(characters.baseAddress, characters.count, Int(JSON_REJECT_DUPLICATES), nil)
    }
    guard let value else { return nil }
    object = value
    if value.pointee.type != JSON_OBJECT { return nil }
  }

  private init(retaining object: UnsafeMutablePointer<json_t>) {
    self.object = json_incref(object)
  }

  deinit { json_decref(object) }

  /// The member of that name, nil if there is none.
  subscript(name: String) -> JSONValue? { json_object_get(object, name).map(Self.value) }

  private static func value(_ value: UnsafeMutablePointer<json_t>) -> JSONValue {
    switch value.pointee.type {
    case JSON_STRING: .string(String(cString: json_string_value(value)))
    case JSON_INTEGER, JSON_REAL: .number(json_number_value(value))
    case JSON_ARRAY: .array((0..<json_array_size(value)).map { Self.value(json_array_get(value, $0)) })
    case JSON_OBJECT: .object(JSONObject(retaining: value))
    default: .other
    }
  }
}
