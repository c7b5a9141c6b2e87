internal import Encoding
public import HTTP

/// A query parameter: the declaration that documents it and reads it.
public struct QueryParameter<Value: Sendable>: Sendable {
  public let description: ParameterDescription
  @usableFromInline let name: String
  @usableFromInline let parse: @Sendable (String) -> Value?
  /// The rule that the text breaks, in words that end a sentence.
  @usableFromInline let message: String

  public init(
    _ name: String, _ schema: JSONValue, _ meaning: String, _ message: String,
    parse: @escaping @Sendable (String) -> Value?
  ) {
    self.name = name
    description = ParameterDescription(name: name, place: .query, meaning: meaning, schema: schema)
    self.message = message
    self.parse = parse
  }
}

extension QueryParameter<Int> {
  /// A whole number in decimal digits, without a sign.
  public init(_ name: String, in bounds: ClosedRange<Int>, _ meaning: String) {
    self.init(
      name, .integer(in: bounds), meaning,
      "must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)"
    ) { DecimalText.read($0, in: bounds) }
  }
}

extension QueryParameter<Bool> {
  /// `true` or `false`.
  public init(_ name: String, _ meaning: String) {
    self.init(name, Bool.schema, meaning, "must be true or false") { ["true": true, "false": false][$0] }
  }
}

/// An id in a path, or a name.
public struct PathParameter<Value: Sendable>: Sendable {
  public let description: ParameterDescription
  /// Its place among the path's parameters.
  fileprivate let position: Int
  fileprivate let notFound: Problem
  fileprivate let parse: @Sendable (String) -> Value?

  /// - Parameters:
  ///   - name: what the path has in braces.
  ///   - position: its place among the path's parameters, from 0.
  ///   - notFound: the problem of a malformed value, which is not found.
  public init(
    _ schema: JSONValue, _ meaning: String, named name: String = "id", at position: Int = 0, notFound: Problem,
    parse: @escaping @Sendable (String) -> Value?
  ) {
    description = ParameterDescription(name: name, place: .path, meaning: meaning, schema: schema)
    self.position = position
    self.notFound = notFound
    self.parse = parse
  }
}

extension Call {
  /// The value of a query parameter; nil if it is absent. Inlined: a poll has five parameters, of which it uses few.
  @inlinable public func value<Value>(of parameter: QueryParameter<Value>) throws(Problem) -> Value? {
    guard request.query != nil, let text = try queryValue(of: parameter.name) else { return nil }
    guard let value = parameter.parse(text) else {
      throw .invalidValue(of: parameter.name, parameter.message)
    }
    return value
  }

  @usableFromInline func queryValue(of name: String) throws(Problem) -> String? {
    do throws(QueryParameters.Failure) {
      return try QueryParameters(request.query).value(of: name)
    } catch {
      switch error {
      case .repeated: throw .invalidValue(of: name, "must not be given twice")
      case .badEncoding: throw .invalidValue(of: name, "must be percent-encoded UTF-8")
      }
    }
  }

  /// The id or name in the path.
  public func value<Value>(of parameter: PathParameter<Value>) throws(Problem) -> Value {
    guard let text = pathParameters[parameter.position], let id = parameter.parse(text) else {
      throw parameter.notFound
    }
    return id
  }
}
