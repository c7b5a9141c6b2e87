internal import HTTP

extension API {
  /// The OpenAPI 3.1 document, derived from the table of endpoints; JSON with a line break at its end.
  /// - Parameter publicURL: the origin that clients use; nil stands for the one that served the document.
  public static func openAPIDocument(publicURL: String?) -> [UInt8] {
    let json = OpenAPIDocument(endpoints: endpoints, server: publicURL ?? "/").json
    var writer = JSONWriter(buffer: ByteBuffer(capacity: 64 * 1024))
    json.write(to: &writer)
    writer.buffer.append(UInt8(ascii: "\n"))
    return writer.buffer.withBytes { Array($0) }
  }
}

/// The description of a table of endpoints (OpenAPI 3.1).
struct OpenAPIDocument {
  let endpoints: [Endpoint]
  let server: String

  var json: JSONValue {
    [
      "openapi": "3.1.0",
      "info": [
        "title": "Device registry",
        "version": "1",
        "summary": "Registers trading terminals, gives each its secret, and cuts it off.",
      ],
      "servers": [["url": .string(server)]],
      "paths": .object(paths),
      "components": [
        "schemas": .object(schemas),
        "responses": .object(commonResponses),
        "headers": .object(HeaderDescription.all.map { ($0.name, $0.json) }),
        "securitySchemes": [
          "owner": [
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description":
              "A JSON Web Token: `sub` is the client's id, `exp` is demanded, `scope` may hold registry:admin.",
          ],
          "deviceSignature": [
            "type": "apiKey", "in": "header", "name": "Signature",
            "description":
              "An HTTP message signature (RFC 9421) with `Signature-Input`; `keyid` is the device's id. It is the proof of SCRAM (RFC 5802): ClientKey XOR HMAC-SHA-256(StoredKey, signature base).",
          ],
          "deviceToken": [
            "type": "oauth2",
            "description": "A token of the device, which begins with `drt_`.",
            "flows": ["clientCredentials": ["tokenUrl": "/api/v1/device/token", "scopes": .object([])]],
          ],
        ],
      ],
    ]
  }

  /// In the table's order, with the operations of a path together.
  private var paths: [(name: String, value: JSONValue)] {
    var paths: [(name: String, operations: [(name: String, value: JSONValue)])] = []
    for endpoint in endpoints {
      let operation = (endpoint.method.lowercased(), operation(of: endpoint))
      if let index = paths.firstIndex(where: { $0.name == endpoint.path }) {
        paths[index].operations.append(operation)
      } else {
        paths.append((endpoint.path, [operation]))
      }
    }
    return paths.map { ($0.name, .object($0.operations)) }
  }

  private func operation(of endpoint: Endpoint) -> JSONValue {
    var members: [(name: String, value: JSONValue)] = [
      ("operationId", .string(endpoint.name)),
      ("summary", .string(endpoint.summary)),
      ("security", security(of: endpoint.access)),
    ]
    if !endpoint.input.parameters.isEmpty {
      members.append(("parameters", .array(endpoint.input.parameters.map(\.json))))
    }
    if let body = endpoint.input.body {
      let media: JSONValue = ["schema": body.reference]
      members.append(
        (
          "requestBody",
          [
            "required": .boolean(!endpoint.input.isBodyOptional),
            "content": .object([(endpoint.input.bodyType, media)]),
          ]
        ))
    }
    members.append(("responses", .object(responses(of: endpoint))))
    return .object(members)
  }

  private func security(of access: Access) -> JSONValue {
    switch access {
    case .anyone: []
    case .owner: [["owner": []]]
    case .administrator: [["owner": [.string(Administrator.scope)]]]
    case .device: [["deviceSignature": []], ["deviceToken": []]]
    }
  }

  private func responses(of endpoint: Endpoint) -> [(name: String, value: JSONValue)] {
    let problems = Dictionary(grouping: endpoint.problems, by: \.status).sorted { $0.key < $1.key }
    let signed = endpoint.access == .device ? HeaderDescription.signed : []
    let limited = endpoint.access == .anyone ? [] : HeaderDescription.rateLimit
    return [(String(endpoint.success.status), endpoint.success.json(with: limited + signed))]
      + problems.map { status, kinds in
        kinds.allSatisfy(Self.commonKinds.contains) && signed.isEmpty
          ? (String(status), ["$ref": .string("#/components/responses/\(Self.name(of: status))")])
          : (String(status), Self.response(to: kinds, status: status, with: signed))
      }
  }

  /// Problems whose response is described once, and not at each of the many routes that have them.
  private static let commonKinds =
    ProblemKind.everywhere
    + [.invalidValue, .tokenMissing, .tokenInvalid, .tooManyRequests, .pathNotFound, .methodNotAllowed]

  private var commonResponses: [(name: String, value: JSONValue)] {
    Dictionary(grouping: Self.commonKinds, by: \.status).sorted { $0.key < $1.key }
      .map { status, kinds in (Self.name(of: status), Self.response(to: kinds, status: status)) }
  }

  private static func name(of status: Int) -> String { "Problem\(status)" }

  private static func response(
    to kinds: [ProblemKind], status: Int, with headers: [HeaderDescription] = []
  ) -> JSONValue {
    let description = kinds.map { "`\($0.rawValue)`: \($0.title)." }.joined(separator: " ")
    let headers =
      HeaderDescription.everywhere + HeaderDescription.required(with: status, by: kinds)
      + HeaderDescription.rateLimit + headers
    var content: [(name: String, value: JSONValue)] = []
    if kinds.contains(where: { !$0.isOAuth }) {
      content.append((.init(describing: Problem.contentType), ["schema": Problem.schema.reference]))
    }
    if kinds.contains(where: \.isOAuth) {
      content.append(("application/json", ["schema": Problem.oauthSchema.reference]))
    }
    return [
      "description": .string(description),
      "headers": .object(headers.map { ($0.name, $0.reference) }),
      "content": .object(content),
    ]
  }

  /// Each once, in the order of their first use.
  private var schemas: [(name: String, value: JSONValue)] {
    var schemas: [Schema] = []
    for schema in endpoints.flatMap({ [$0.input.body].compactMap(\.self) + $0.success.components })
      + [Problem.schema, Problem.oauthSchema]
    where !schemas.contains(where: { $0.name == schema.name }) {
      schemas.append(schema)
    }
    return schemas.map { ($0.name, $0.definition) }
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
  fileprivate func json(with more: [HeaderDescription]) -> JSONValue {
    var members: [(name: String, value: JSONValue)] = [
      ("description", .string(meaning)),
      ("headers", .object((HeaderDescription.everywhere + headers + more).map { ($0.name, $0.reference) })),
    ]
    if let schema { members.append(("content", ["application/json": ["schema": schema]])) }
    return .object(members)
  }
}
