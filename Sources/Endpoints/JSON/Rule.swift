internal import JSON

/// A rule for a JSON value in requests: its schema in the OpenAPI document, and the function that tests and reads it.
public struct Rule<Value: Sendable>: Sendable {
  let schema: JSONValue
  /// A problem has an empty path for the value itself; `inside` adds the outer names.
  let read: @Sendable (ParsedJSON) throws(Problem) -> Value
}

extension Rule {
  /// Text that `parse` accepts. `parse` also tests the schema's bounds, which apply to its result, for example
  /// trimmed text.
  public static func text(
    _ schema: JSONValue, parse: @escaping @Sendable (String) throws(Problem) -> Value
  ) -> Rule {
    Rule(schema: schema) { (value) throws(Problem) in
      guard case .string(let text) = value else { throw .wrong("must be a string") }
      return try parse(text)
    }
  }

  /// Text that `parse` accepts.
  /// - Parameter message: the rule that the text breaks, in words that end a sentence.
  public static func text(
    _ schema: JSONValue, message: String, parse: @escaping @Sendable (String) -> Value?
  ) -> Rule {
    text(schema) { (text) throws(Problem) in
      guard let value = parse(text) else { throw .wrong(message) }
      return value
    }
  }

  /// The values of this rule that `transform` accepts.
  /// - Parameter message: the rule that other values break, in words that end a sentence.
  public func map<Mapped>(
    message: String, _ transform: @escaping @Sendable (Value) -> Mapped?
  ) -> Rule<Mapped> {
    Rule<Mapped>(schema: schema) { (value) throws(Problem) in
      guard let mapped = transform(try read(value)) else { throw .wrong(message) }
      return mapped
    }
  }

  /// - Parameter count: how many elements the array may have.
  public static func array<Element>(of element: Rule<Element>, _ count: ClosedRange<Int>) -> Rule
  where Value == [Element] {
    let minimum: JSONValue = count.lowerBound > 0 ? ["minItems": .integer(Int64(count.lowerBound))] : [:]
    let schema = (["type": "array"] as JSONValue).adding(minimum)
      .adding(["maxItems": .integer(Int64(count.upperBound)), "items": element.schema])
    return Rule(schema: schema) { (value) throws(Problem) in
      guard case .array(let elements) = value else { throw .wrong("must be an array") }
      guard count.contains(elements.count) else {
        throw .wrong(
          count.lowerBound > 0
            ? "must have \(count.lowerBound) to \(count.upperBound) elements"
            : "must have \(count.upperBound) elements at most")
      }
      var values: [Element] = []
      values.reserveCapacity(elements.count)
      for (index, value) in elements.enumerated() {
        do throws(Problem) { values.append(try element.read(value)) } catch {
          throw error.inside(String(index))
        }
      }
      return values
    }
  }
}

extension Rule {
  /// An object whose names are data, in the order of the text.
  ///
  /// - Parameters:
  ///   - count: how many members the object may have.
  ///   - names: the schema of the names.
  ///   - isName: tests a name.
  ///   - message: the rule that other names break, in words that end a sentence.
  public static func map<Element>(
    of element: Rule<Element>, _ count: ClosedRange<Int>, names: JSONValue, message: String,
    isName: @escaping @Sendable (String) -> Bool
  ) -> Rule where Value == [(name: String, value: Element)] {
    let schema: JSONValue = [
      "type": "object", "minProperties": .integer(Int64(count.lowerBound)),
      "maxProperties": .integer(Int64(count.upperBound)), "propertyNames": names,
      "additionalProperties": element.schema,
    ]
    return Rule(schema: schema) { (value) throws(Problem) in
      guard case .object(let object) = value else { throw .wrong("must be an object") }
      guard count.contains(object.members.count) else {
        throw .wrong("must have \(count.lowerBound) to \(count.upperBound) members")
      }
      var values: [(name: String, value: Element)] = []
      for member in object.members {
        do throws(Problem) {
          guard isName(member.name) else { throw .wrong(message) }
          values.append((member.name, try element.read(member.value)))
        } catch {
          throw error.inside(NameList.shown(member.name))
        }
      }
      return values
    }
  }

  /// The same values, or null.
  public var orNull: Rule<Value?> {
    Rule<Value?>(schema: schema.orNull) { (value) throws(Problem) in
      value == .null ? nil : try read(value)
    }
  }
}

extension Rule where Value: CaseIterable & RawRepresentable<String> {
  /// One of the words of an enumeration.
  public static var choice: Rule {
    let words = Value.allCases.map(\.rawValue)
    return text(
      .words(of: Value.self),
      message: "must be \(words.dropLast().joined(separator: ", ")) or \(words.last ?? "")",
      parse: Value.init(rawValue:))
  }
}

extension Rule<String> {
  /// Text without a test: the schema only documents its form.
  public static func text(_ schema: JSONValue) -> Rule { text(schema) { (text) throws(Problem) in text } }

  /// Text of a number of Unicode scalars. None contains U+0000: `ParsedJSON` refuses it.
  public static func text(atMost maximum: Int) -> Rule {
    text(
      String.schema.adding(.textBounds(maximum: maximum)), message: "must have \(maximum) characters at most"
    ) {
      $0.unicodeScalars.count <= maximum ? $0 : nil
    }
  }
}

extension Rule<Int64> {
  /// - Parameter bounds: keywords that bound the number in the schema; they are not tested.
  public static func integer(_ bounds: JSONValue = [:]) -> Rule {
    Rule(schema: Int64.schema.adding(bounds)) { (value) throws(Problem) in
      guard let number = value.wholeNumber else { throw .wrong("must be an integer of 64 bits") }
      return number
    }
  }
}

extension Rule<Int> {
  public static func integer(in bounds: ClosedRange<Int>) -> Rule {
    let any = Rule<Int64>.integer()
    return Rule(schema: .integer(in: bounds)) { (value) throws(Problem) in
      guard let number = Int(exactly: try any.read(value)), bounds.contains(number) else {
        throw .notWithin(bounds, "")
      }
      return number
    }
  }
}

extension Rule<Bool> {
  /// `true` or `false`.
  public static let flag = Rule(schema: Bool.schema) { (value) throws(Problem) in
    guard case .boolean(let flag) = value else { throw .wrong("must be true or false") }
    return flag
  }

  /// Only `true`: to say the opposite, a sender omits the member.
  public static let onlyTrue = Rule(schema: ["const": true]) { (value) throws(Problem) in
    guard try flag.read(value) else { throw .wrong("must be true, or absent") }
    return true
  }
}

extension Rule<[UInt8]> {
  /// Any object up to a number of bytes, kept unchanged: a member of the outermost object of a body.
  public static func rawObject(atMost maximum: Int) -> Rule {
    Rule(schema: ["type": "object", "additionalProperties": true]) { (value) throws(Problem) in
      guard case .raw(let bytes) = value, bytes.first == UInt8(ascii: "{") else {
        throw .wrong("must be an object")
      }
      guard bytes.count <= maximum else { throw .wrong("must have \(maximum) bytes at most") }
      return Array(bytes)
    }
  }
}

extension Problem {
  /// The problem of a value that breaks a rule.
  public static func wrong(_ message: String) -> Problem { .invalidValue(of: "", message) }

  /// Moves the problem to the object or array that contains the value.
  /// - Parameter step: the name or the index of the value.
  func inside(_ step: String) -> Problem {
    guard !errors.isEmpty else { return self }
    return .invalidValues(
      errors.map { error in
        FieldError(field: error.field.isEmpty ? step : "\(step).\(error.field)", message: error.message)
      })
  }
}
