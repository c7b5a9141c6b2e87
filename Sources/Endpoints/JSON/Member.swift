internal import JSON

/// A member of a JSON object in requests. The schema, `required`, the known names and the parser are derived from
/// this declaration.
public struct Member<Value: Sendable>: Sendable {
  let name: String
  let isRequired: Bool
  /// The schema of a value that is not null.
  let valueSchema: JSONValue
  private let read: @Sendable (ParsedJSON?) throws(Problem) -> Value

  private init(
    _ name: String, isRequired: Bool, _ schema: JSONValue, _ meaning: String?, also more: JSONValue = [:],
    _ read: @escaping @Sendable (ParsedJSON?) throws(Problem) -> Value
  ) {
    self.name = name
    self.isRequired = isRequired
    valueSchema = schema.adding(more).adding(meaning.map { ["description": .string($0)] } ?? [:])
    self.read = read
  }

  var schema: JSONValue { isRequired ? valueSchema : valueSchema.orNull }

  /// A required member.
  public init(_ name: String, _ rule: Rule<Value>, _ meaning: String? = nil) {
    self.init(name, isRequired: true, rule.schema, meaning) { (value) throws(Problem) in
      guard let value else { throw .wrong("is missing") }
      return try rule.read(value)
    }
  }

  /// A member that may be absent or null.
  public static func optional<Wrapped>(
    _ name: String, _ rule: Rule<Wrapped>, _ meaning: String? = nil
  ) -> Member where Value == Wrapped? {
    Member(name, isRequired: false, rule.schema, meaning) { (value) throws(Problem) in
      guard let value, value != .null else { return nil }
      return try rule.read(value)
    }
  }

  /// A member that may be absent, which is nil, or null, which removes a value.
  public static func removable<Wrapped>(
    _ name: String, _ rule: Rule<Wrapped>, _ meaning: String? = nil
  ) -> Member where Value == Wrapped?? {
    Member(name, isRequired: false, rule.schema, meaning) { (value) throws(Problem) in
      guard let value else { return nil }
      return .some(value == .null ? nil : try rule.read(value))
    }
  }

  func value(in object: ParsedObject) throws(Problem) -> Value {
    do throws(Problem) { return try read(object[name]) } catch { throw error.inside(name) }
  }
}

extension Member<Int> {
  /// A number with a default, which applies if the member is absent or null.
  public static func optional(
    _ name: String, _ rule: Rule<Int>, default number: Int, _ meaning: String? = nil
  ) -> Member {
    Member(
      name, isRequired: false, rule.schema, meaning, also: ["default": .integer(Int64(number))]
    ) { (value) throws(Problem) in
      guard let value, value != .null else { return number }
      return try rule.read(value)
    }
  }
}

extension Rule {
  /// An object of exactly these members. The problem names every wrong member.
  /// - Parameters:
  ///   - alternatives: optional members of which `make` demands exactly one. The schema repeats the object for each,
  ///     because programs that generate clients read alternatives without what is beside them.
  ///   - make: makes the value from the members' values.
  public static func object<each MemberValue>(
    _ members: repeat Member<each MemberValue>, oneOf alternatives: [String] = [],
    make: @escaping @Sendable (repeat each MemberValue) throws(Problem) -> Value
  ) -> Rule {
    func object(with alternative: String?) -> JSONValue {
      var required: [JSONValue] = []
      var properties: [(name: String, value: JSONValue)] = []
      for member in repeat each members {
        let isChosen = member.name == alternative
        if isChosen || member.isRequired { required.append(.string(member.name)) }
        guard isChosen || alternative == nil || !alternatives.contains(member.name) else { continue }
        let schema = isChosen ? member.valueSchema : member.schema
        // openapi-python-client makes a model of each object, and refuses two of one name.
        properties.append((member.name, alternative != nil && schema.isMap ? [:] : schema))
      }
      return (["type": "object"] as JSONValue)
        .adding(required.isEmpty ? [:] : ["required": .array(required)])
        .adding(alternative == nil ? ["additionalProperties": false] : [:])
        .adding(["properties": .object(properties)])
    }
    let schema = object(with: nil)
      .adding(alternatives.isEmpty ? [:] : ["oneOf": .array(alternatives.map(object))])
    return Rule(schema: schema) { (value) throws(Problem) in
      guard case .object(let object) = value else { throw .wrong("must be an object") }
      do throws(Problem) {
        return try make(repeat (each members).value(in: object))
      } catch {
        var errors: [Problem.FieldError] = []
        for member in repeat each members {
          do throws(Problem) { _ = try member.value(in: object) } catch { errors += error.errors }
        }
        throw errors.isEmpty ? error : .invalidValues(errors)
      }
    }
  }
}
