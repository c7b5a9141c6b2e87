internal import HTTP

/// The parts of an application's OpenAPI document that do not come from its endpoints.
public struct Description: Sendable {
  /// `info`.
  let info: JSONValue
  /// Every operation has the first tag whose path begins its own.
  let tags: [Tag]
  /// `securitySchemes`, which each `Access` refers to.
  let securitySchemes: JSONValue
  /// The application's own header fields of answers.
  let headers: [HeaderDescription]
  /// The fields of `headers` that any problem may have.
  let problemHeaders: [HeaderDescription]
  /// The text before a kind's slug in `type`.
  public let problemTypeBase: String
  /// The members of some problems, in addition to those that all have (RFC 9457, section 3.2).
  let problemMembers: [(name: String, schema: JSONValue)]
  /// The kinds that any operation may answer with.
  let everywhere: [ProblemKind]
  /// The kinds whose response the document describes once, because many operations have them.
  let common: [ProblemKind]

  public init(
    info: JSONValue, tags: [Tag], securitySchemes: JSONValue, headers: [HeaderDescription],
    problemHeaders: [HeaderDescription], problemTypeBase: String,
    problemMembers: [(name: String, schema: JSONValue)],
    everywhere: [ProblemKind],
    common: [ProblemKind]
  ) {
    (self.info, self.tags) = (info, tags)
    (self.securitySchemes, self.headers) = (securitySchemes, headers)
    (self.problemHeaders, self.problemTypeBase) = (problemHeaders, problemTypeBase)
    self.problemMembers = problemMembers
    (self.everywhere, self.common) = (everywhere, common)
  }
}

/// A group of operations. Programs that generate clients make a module of each.
public struct Tag: Sendable {
  let name: String
  fileprivate let path: String
  fileprivate let meaning: String

  /// - Parameter path: the beginning of the operations' paths.
  public init(_ name: String, of path: String, _ meaning: String) {
    (self.name, self.path, self.meaning) = (name, path, meaning)
  }
}

/// The OpenAPI 3.1 document of some operations.
public struct OpenAPIDocument {
  private let operations: [Operation]
  private let server: String
  private let application: Description
  /// Every kind that an operation may answer with, by status and then in the order of the operations.
  public let problemKinds: [ProblemKind]
  private let common: Set<ProblemKind>
  private let problemSchema: Schema
  private let oauthSchema: Schema

  /// - Parameter server: the origin that clients use, or a path on the one that served the document.
  public init(of operations: [Operation], server: String, _ application: Description) {
    (self.operations, self.server, self.application) = (operations, server, application)
    common = Set(application.common)
    let all = application.everywhere + application.common + operations.flatMap(\.problems)
    problemKinds = all.withoutDuplicates.sorted { $0.status < $1.status }
    // Kinds with different status may share the end of their type.
    let slugs = problemKinds.filter { !$0.isOAuth }.map(\.slug).withoutDuplicates
    problemSchema = .problem(types: slugs.map { application.problemTypeBase + $0 }, application.problemMembers)
    oauthSchema = .oauthError(codes: Set(problemKinds.map(\.oauthError)).sorted())
  }

  /// The document in JSON, with a final line break.
  public var text: [UInt8] {
    var writer = JSONWriter(buffer: ByteBuffer(capacity: 64 * 1024))
    json.write(to: &writer)
    writer.buffer.append(UInt8(ascii: "\n"))
    return writer.buffer.withBytes { Array($0) }
  }

  private var json: JSONValue {
    [
      "openapi": "3.1.0",
      "info": application.info,
      "servers": [["url": .string(server)]],
      "tags": .array(
        application.tags.map { ["name": .string($0.name), "description": .string($0.meaning)] }),
      "paths": .object(paths),
      "components": [
        "schemas": .object(schemas),
        "responses": .object(commonResponses),
        "headers": .object((HeaderDescription.all + application.headers).map { ($0.name, $0.json) }),
        "securitySchemes": application.securitySchemes,
      ],
    ]
  }

  /// The operations of each path, in the table's order.
  private var paths: [(name: String, value: JSONValue)] {
    var paths: [(name: String, operations: [(name: String, value: JSONValue)])] = []
    for operation in operations {
      let member = (operation.method.lowercased(), json(of: operation))
      if let index = paths.firstIndex(where: { $0.name == operation.path }) {
        paths[index].operations.append(member)
      } else {
        paths.append((operation.path, [member]))
      }
    }
    return paths.map { ($0.name, .object($0.operations)) }
  }

  private func json(of operation: Operation) -> JSONValue {
    var members: [(name: String, value: JSONValue)] = [
      ("operationId", .string(operation.name)),
      ("summary", .string(operation.summary)),
      (
        "tags",
        .array(application.tags.filter { operation.path.hasPrefix($0.path) }.prefix(1).map { .string($0.name) })
      ),
      ("security", operation.access.security),
    ]
    let input = operation.input
    if !input.parameters.isEmpty { members.append(("parameters", .array(input.parameters.map(\.json)))) }
    if let body = input.body {
      let media: JSONValue = ["schema": body.reference]
      members.append(
        (
          "requestBody",
          [
            "required": .boolean(!input.isBodyOptional),
            "content": .object([(input.bodyType, media)]),
          ]
        ))
    }
    members.append(("responses", .object(responses(of: operation))))
    return .object(members)
  }

  private func responses(of operation: Operation) -> [(name: String, value: JSONValue)] {
    let access = operation.access
    let problems = Dictionary(grouping: application.everywhere + operation.problems, by: \.status)
      .sorted { $0.key < $1.key }
    return operation.success.json(with: access.successHeaders)
      + problems.map { status, kinds in
        kinds.allSatisfy(common.contains) && access.problemHeaders.isEmpty && !access.isOAuth
          ? (String(status), ["$ref": .string("#/components/responses/\(Self.name(of: status))")])
          : (String(status), response(to: kinds, with: access.problemHeaders, inOAuthForm: access.isOAuth))
      }
  }

  private var commonResponses: [(name: String, value: JSONValue)] {
    Dictionary(grouping: application.common, by: \.status).sorted { $0.key < $1.key }
      .map { status, kinds in (Self.name(of: status), response(to: kinds)) }
  }

  private static func name(of status: Int) -> String { "Problem\(status)" }

  /// - Parameter inOAuthForm: whether the operation answers in the form of OAuth. The HTTP server does not know
  ///   operations, so its own refusals are problems everywhere.
  private func response(
    to kinds: [ProblemKind], with headers: [HeaderDescription] = [], inOAuthForm: Bool = false
  ) -> JSONValue {
    let description = kinds.map { "`\($0.slug)`: \($0.title)." }.joined(separator: " ")
    let headers =
      HeaderDescription.everywhere + HeaderDescription.required(by: kinds) + application.problemHeaders
      + headers
    var content: [(name: String, value: JSONValue)] = []
    if kinds.contains(where: { !$0.isOAuth }) {
      content.append((.init(describing: Problem.contentType), ["schema": problemSchema.reference]))
    }
    if inOAuthForm || kinds.contains(where: \.isOAuth) {
      content.append(("application/json", ["schema": oauthSchema.reference]))
    }
    return [
      "description": .string(description),
      "headers": .object(headers.map { ($0.name, $0.reference) }),
      "content": .object(content),
    ]
  }

  /// Without duplicates, in the order of first use.
  private var schemas: [(name: String, value: JSONValue)] {
    var schemas: [Schema] = []
    for schema in operations.flatMap({ [$0.input.body, $0.success.component].compactMap(\.self) })
      + [problemSchema, oauthSchema]
    where !schemas.contains(where: { $0.name == schema.name }) {
      schemas.append(schema)
    }
    return schemas.map { ($0.name, $0.definition) }
  }
}

extension Schema {
  fileprivate static func problem(types: [String], _ members: [(name: String, schema: JSONValue)]) -> Schema {
    Schema(
      name: "Problem",
      definition: [
        "type": "object",
        "description": "An error (RFC 9457).",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": .object(
          [
            ("type", ["type": "string", "format": "uri", "enum": .array(types.map { .string($0) })]),
            ("title", ["type": "string"]),
            ("status", ["type": "integer", "minimum": 400, "maximum": 599]),
            ("detail", ["type": "string", "description": "What was wrong here, and what to do about it."]),
            ("request_id", ["type": "string", "minLength": 1, "maxLength": 128]),
            ("errors", ["type": "array", "minItems": 1, "items": Problem.FieldError.schema]),
          ] + members),
      ])
  }

  fileprivate static func oauthError(codes: [String]) -> Schema {
    Schema(
      name: "OAuthError",
      definition: [
        "type": "object",
        "description": "An error in the form of OAuth 2.0 (RFC 6749, section 5.2).",
        "required": ["error"],
        "properties": [
          "error": ["type": "string", "enum": .array(codes.map { .string($0) })],
          "error_description": ["type": "string"],
        ],
      ])
  }
}

extension Sequence where Element: Hashable {
  /// Each element once, in the order of first use.
  fileprivate var withoutDuplicates: [Element] {
    var found: Set<Element> = []
    return filter { found.insert($0).inserted }
  }
}

extension ParameterDescription {
  fileprivate var json: JSONValue {
    [
      "name": .string(name), "in": .string(place.rawValue), "required": .boolean(place == .path),
      "description": .string(meaning), "schema": schema,
    ]
  }
}

extension SuccessDescription {
  /// The answers by status.
  fileprivate func json(with more: [HeaderDescription]) -> [(name: String, value: JSONValue)] {
    ([(status, meaning)] + (other.map { [$0] } ?? [])).map { status, meaning in
      var members: [(name: String, value: JSONValue)] = [
        ("description", .string(meaning)),
        ("headers", .object((HeaderDescription.everywhere + headers + more).map { ($0.name, $0.reference) })),
      ]
      var content: [(name: String, value: JSONValue)] = []
      if let schema { content.append(("application/json", ["schema": schema])) }
      content += textTypes.map { ($0, ["schema": ["type": "string"]]) }
      if !content.isEmpty { members.append(("content", .object(content))) }
      return (String(status), .object(members))
    }
  }
}
