internal import Encoding
internal import HTTP

/// A query parameter: the declaration that documents it and reads it.
public struct QueryParameter<Value: Sendable>: Sendable {
  public let description: ParameterDescription
  fileprivate let parse: @Sendable (String) -> Value?
  /// The rule that the text breaks, in words that end a sentence.
  fileprivate let message: String

  public init(
    _ name: String, _ schema: JSONValue, _ meaning: String, _ message: String,
    parse: @escaping @Sendable (String) -> Value?
  ) {
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

/// The id in a path.
public struct PathParameter<Value: Sendable>: Sendable {
  public let description: ParameterDescription
  fileprivate let notFound: Problem
  fileprivate let parse: @Sendable (String) -> Value?

  /// - Parameter notFound: the problem of a malformed id, which is not found.
  public init(
    _ schema: JSONValue, _ meaning: String, notFound: Problem, parse: @escaping @Sendable (String) -> Value?
  ) {
    description = ParameterDescription(name: "id", place: .path, meaning: meaning, schema: schema)
    self.notFound = notFound
    self.parse = parse
  }
}

extension Call {
  /// The value of a query parameter; nil if it is absent.
  public func value<Value>(of parameter: QueryParameter<Value>) throws(Problem) -> Value? {
    let name = parameter.description.name
    do throws(QueryParameters.Failure) {
      guard let text = try QueryParameters(request.query).value(of: name) else { return nil }
      if let value = parameter.parse(text) { return value }
    } catch {
      switch error {
      case .repeated: throw .invalidValue(of: name, "must not be given twice")
      case .badEncoding: throw .invalidValue(of: name, "must be percent-encoded UTF-8")
      }
    }
    throw .invalidValue(of: name, parameter.message)
  }

  /// The id that the path names.
  public func value<Value>(of parameter: PathParameter<Value>) throws(Problem) -> Value {
    guard let text = pathParameters[0], let id = parameter.parse(text) else { throw parameter.notFound }
    return id
  }
}
