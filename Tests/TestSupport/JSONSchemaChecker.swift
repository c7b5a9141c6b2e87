import Foundation

/// The part of JSON Schema (2020-12) that the document uses. A keyword that is not known is a violation, so that
/// nothing passes because nobody looked.
struct JSONSchemaChecker {
  let document: [String: Any]

  private static let annotations: Set<String> = ["description", "title"]

  /// The target of a reference within the document.
  func resolve(_ reference: String) -> [String: Any]? {
    reference.split(separator: "/").dropFirst().reduce(document as Any?) { value, key in
      (value as? [String: Any])?[String(key)]
    } as? [String: Any]
  }

  func violations(of value: Any, _ schema: [String: Any], at place: String) -> [String] {
    schema.flatMap { keyword, argument in
      violation(of: value, keyword, argument, schema, at: place)
    }
  }

  private func violation(
    of value: Any, _ keyword: String, _ argument: Any, _ schema: [String: Any], at place: String
  ) -> [String] {
    func demand(_ holds: Bool) -> [String] {
      holds ? [] : ["\(place) breaks \(keyword) \(argument): \(value)"]
    }
    let text = value as? String
    switch keyword {
    case _ where Self.annotations.contains(keyword): return []
    case "$ref":
      guard let target = resolve(argument as? String ?? "") else { return ["\(place): nothing at \(argument)"] }
      return violations(of: value, target, at: place)
    case "type":
      let types = argument as? [String] ?? [argument as? String ?? ""]
      return demand(types.contains { Self.isOf($0, value) })
    case "const": return demand(text == argument as? String)
    case "enum": return demand((argument as? [String] ?? []).contains { $0 == text })
    case "pattern":
      guard let text, let pattern = try? Regex(argument as? String ?? "") else { return demand(text == nil) }
      return demand(text.firstMatch(of: pattern) != nil)
    case "format": return demand(text.map { Self.has(format: argument as? String ?? "", $0) } ?? true)
    case "minLength": return demand(text.map { $0.unicodeScalars.count >= Self.number(argument) } ?? true)
    case "maxLength": return demand(text.map { $0.unicodeScalars.count <= Self.number(argument) } ?? true)
    case "minimum": return demand((value as? Int).map { $0 >= Self.number(argument) } ?? true)
    case "maximum": return demand((value as? Int).map { $0 <= Self.number(argument) } ?? true)
    case "minItems": return demand((value as? [Any]).map { $0.count >= Self.number(argument) } ?? true)
    case "items":
      return (value as? [Any] ?? []).enumerated().flatMap { index, element in
        violations(of: element, argument as? [String: Any] ?? [:], at: "\(place)[\(index)]")
      }
    case "maxItems": return demand((value as? [Any]).map { $0.count <= Self.number(argument) } ?? true)
    case "maxProperties":
      return demand((value as? [String: Any]).map { $0.count <= Self.number(argument) } ?? true)
    case "propertyNames":
      return (value as? [String: Any] ?? [:]).keys.flatMap { name in
        violations(of: name, argument as? [String: Any] ?? [:], at: "\(place): the name \(name)")
      }
    case "additionalProperties":
      return (value as? [String: Any] ?? [:]).flatMap { name, member in
        violations(of: member, argument as? [String: Any] ?? [:], at: "\(place).\(name)")
      }
    case "required":
      guard let object = value as? [String: Any] else { return [] }
      return (argument as? [String] ?? []).filter { object[$0] == nil }.map { "\(place).\($0) is missing" }
    case "properties":
      guard let object = value as? [String: Any], let properties = argument as? [String: [String: Any]] else {
        return []
      }
      // Strict, though JSON Schema is not: a member that is not declared is shown by mistake.
      return object.flatMap { name, member in
        properties[name].map { violations(of: member, $0, at: "\(place).\(name)") }
          ?? ["\(place).\(name) is not declared"]
      }
    default: return ["\(place): the checker does not know the keyword \(keyword)"]
    }
  }

  private static func number(_ argument: Any) -> Int { argument as? Int ?? .min }

  private static func isOf(_ type: String, _ value: Any) -> Bool {
    switch type {
    case "object": value is [String: Any]
    case "array": value is [Any]
    case "string": value is String
    case "null": value is NSNull
    case "boolean": isBoolean(value)
    case "integer": !isBoolean(value) && value is Int
    default: false
    }
  }

  private static func isBoolean(_ value: Any) -> Bool {
    (value as? NSNumber).map { $0 === NSNumber(value: true) || $0 === NSNumber(value: false) || $0.isBoolean }
      ?? (value is Bool)
  }

  private static func has(format: String, _ text: String) -> Bool {
    switch format {
    case "uuid": text.wholeMatch(of: #/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/#) != nil
    case "date-time":
      text.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#) != nil
    case "uri": URL(string: text)?.scheme != nil
    case "int64": true
    default: false
    }
  }
}

extension NSNumber {
  fileprivate var isBoolean: Bool { String(cString: objCType) == "c" }
}
