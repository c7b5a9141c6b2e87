internal import JSON

/// A member of a JSON object in requests. The schema, `required`, the known names and the parser are derived from
/// this declaration.
public struct Member<Value: Sendable>: Sendable {
  let name: String
  let isRequired: Bool
  let schema: JSONValue
  private let read: @Sendable (ParsedJSON?) throws(Problem) -> Value

  private init(
    _ name: String, isRequired: Bool, _ schema: JSONValue, _ meaning: String?,
    _ read: @escaping @Sendable (ParsedJSON?) throws(Problem) -> Value
  ) {
    self.name = name
    self.isRequired = isRequired
    self.schema = schema.adding(meaning.map { ["description": .string($0)] } ?? [:])
    self.read = read
  }

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
    Member(name, isRequired: false, rule.schema.orNull, meaning) { (value) throws(Problem) in
      guard let value, value != .null else { return nil }
      return try rule.read(value)
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
    let schema = rule.schema.orNull.adding(["default": .integer(Int64(number))])
    return Member(name, isRequired: false, schema, meaning) { (value) throws(Problem) in
      guard let value, value != .null else { return number }
      return try rule.read(value)
    }
  }
}

extension Rule {
  /// An object of exactly these members. The problem names every wrong member.
  /// - Parameters:
  ///   - more: keywords of the schema in addition to those of the members.
  ///   - make: makes the value from the members' values.
  public static func object<each MemberValue>(
    _ members: repeat Member<each MemberValue>, also more: JSONValue = [:],
    make: @escaping @Sendable (repeat each MemberValue) throws(Problem) -> Value
  ) -> Rule {
    var required: [JSONValue] = []
    var properties: [(name: String, value: JSONValue)] = []
    for member in repeat each members {
      if member.isRequired { required.append(.string(member.name)) }
      properties.append((member.name, member.schema))
    }
    let schema = (["type": "object"] as JSONValue)
      .adding(required.isEmpty ? [:] : ["required": .array(required)])
      .adding(["additionalProperties": false]).adding(more).adding(["properties": .object(properties)])
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
