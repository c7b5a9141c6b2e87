internal import Encoding
internal import Endpoints
internal import HTTP
internal import Registry
internal import RequestSignature

/// The input of an endpoint that creates something, with the key that makes it safe to repeat.
struct Creating<Content: Input>: Input {
  let content: Content
  /// Nil if the request has none.
  let key: IdempotencyKey?

  static var description: InputDescription {
    var description = Content.description
    description.parameters.append(
      ParameterDescription(
        name: fieldName, place: .header,
        meaning:
          "A request that is repeated with the same key within \(IdempotencyKey.keptHours) hours does nothing again.",
        schema: [
          "type": "string", "minLength": 1, "maxLength": .integer(Int64(IdempotencyKey.maximumLength)),
          "pattern": "^[!-~]+$",
        ]))
    description.furtherProblems = [.idempotencyInProgress, .tooManyIdempotencyKeys, .idempotencyMismatch]
    return description
  }

  private static var fieldName: String { "Idempotency-Key" }

  init(of call: Call) throws(Problem) {
    content = try Content(of: call)
    let request = call.request
    let values = request.values(of: "idempotency-key")
    guard let text = values.first else {
      key = nil
      return
    }
    let digest = ContentDigest.value(of: request.content)
    guard values.count == 1,
      let key = IdempotencyKey(String(text), request: "\(request.method) \(request.path) \(digest)")
    else {
      throw .invalidValue(
        of: Self.fieldName,
        "must be given once and have 1 to \(IdempotencyKey.maximumLength) visible ASCII characters")
    }
    self.key = key
  }
}
