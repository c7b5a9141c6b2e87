@testable import API
@testable import Endpoints
import HTTP
import JSON
import TestSupport
import Testing

/// Names that no route declares, and names that are given twice: the store of these answers throws a fault, so that
/// a request that passes gives 500.
@Suite struct NamesOfARequest {
  private let api = APIUnderTest()

  private func ask(_ method: String, _ target: String, _ body: String = "") async throws -> HTTPAnswer {
    let type = body.isEmpty ? [] : [("content-type", "application/json")]
    return try await api.answer(
      method, target, [("authorization", "Bearer t")] + type, body: .complete(Array(body.utf8)))
  }

  private func expect(_ answer: HTTPAnswer, names field: String, _ message: String) throws {
    #expect(answer.status == 400)
    #expect(try answer.string("type") == "https://device-registry.example/problems/invalid-value")
    let errors = try #require(try answer.object()["errors"] as? [[String: String]])
    #expect(errors == [["field": field, "message": message]])
    #expect(try answer.string("detail") == "`\(field)` \(message).")
  }

  private static let id = "01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a"

  @Test(arguments: [
    (
      "/devices", #"{"device_name":"EA","client_id":"a"}"#, "client_id",
      "this request takes `device_name`, `labels`, `groups`, `expires_at`"
    ),
    ("/devices", #"{"name":"EA"}"#, "name", "perhaps `device_name` was meant"),
    ("/devices", #"{"deviceName":"EA"}"#, "deviceName", "perhaps `device_name` was meant"),
    ("/devices", #"{"DEVICE_NAME":"EA"}"#, "DEVICE_NAME", "perhaps `device_name` was meant"),
    ("/devices", #"{"":1}"#, "", "this request takes `device_name`, `labels`, `groups`, `expires_at`"),
    (
      "/devices", #"{"\u0061":{"b":[1]}}"#, "a",
      "this request takes `device_name`, `labels`, `groups`, `expires_at`"
    ),
    ("/clients", #"{"emial":"a@b"}"#, "emial", "perhaps `email` was meant"),
    ("/clients", #"{"telegram":1}"#, "telegram", "perhaps `telegram_id` was meant"),
    ("/signals", #"{"payload":{},"all":true,"ttl":1}"#, "ttl", "perhaps `ttl_seconds` was meant"),
    ("/signals", #"{"payload":{},"ttl_second":1,"x":2}"#, "ttl_second", "perhaps `ttl_seconds` was meant"),
    ("/devices/\(id)/rotate", #"{"grace":1}"#, "grace", "perhaps `grace_seconds` was meant"),
  ])
  func `A member that is not known is named, with the one that was probably meant`(
    _ path: String, _ body: String, _ field: String, _ hint: String
  ) async throws {
    try expect(try await ask("POST", "/api/v1" + path, body), names: field, "is not known here; \(hint)")
  }

  @Test(arguments: [
    ("/devices", #"{"device_name":"A","device_name":"B"}"#, "device_name"),
    ("/devices", #"{"device_name":"A","device\u005fname":"B"}"#, "device_name"),
    ("/signals", #"{"payload":{},"payload":{},"all":true}"#, "payload"),
    ("/clients", #"{"id":"a","email":"a@b","id":null}"#, "id"),
  ])
  func `A member that is given twice is named`(_ path: String, _ body: String, _ field: String) async throws {
    try expect(try await ask("POST", "/api/v1" + path, body), names: field, "must not be given twice")
  }

  @Test func `A payload may have any names`() async throws {
    let body = #"{"payload":{"ttl":1,"a":[{"b":1},{"b":1}]},"all":true}"#
    #expect(try await ask("POST", "/api/v1/signals", body).status == 500)
  }

  @Test func `Text that is not JSON is malformed, whatever its names are`() async throws {
    let answer = try await ask("POST", "/api/v1/devices", #"{"name":"EA""#)
    #expect(try answer.string("type")?.hasSuffix("/malformed-json") == true)
  }

  @Test(arguments: [
    ("GET", "/devices?limt=1", "limt", "perhaps `limit` was meant"),
    ("GET", "/signals?page=2", "page", "this request takes `limit`, `cursor`"),
    ("GET", "/devices?Limit=1", "Limit", "perhaps `limit` was meant"),
    ("GET", "/devices?%6cimits=1", "limits", "perhaps `limit` was meant"),
    ("GET", "/signals?%zz=1", "%zz", "this request takes `limit`, `cursor`"),
    ("GET", "/signals?=1", "", "this request takes `limit`, `cursor`"),
    ("GET", "/devices/\(id)?verbose", "verbose", "this request takes no query parameter"),
    ("POST", "/devices?dry_run=true", "dry_run", "this request takes no query parameter"),
    ("DELETE", "/clients/a?force=1", "force", "this request takes no query parameter"),
  ])
  func `A query parameter that is not known is named, with the one that was probably meant`(
    _ method: String, _ target: String, _ field: String, _ hint: String
  ) async throws {
    let body = method == "POST" ? #"{"device_name":"EA"}"# : ""
    try expect(try await ask(method, "/api/v1" + target, body), names: field, "is not known here; \(hint)")
  }

  @Test func `A query parameter that is given twice is named`() async throws {
    try expect(
      try await ask("GET", "/api/v1/devices?limit=1&%6cimit=2"), names: "limit", "must not be given twice")
  }

  @Test func `A long name is shortened`() async throws {
    let answer = try await ask("GET", "/api/v1/signals?" + String(repeating: "x", count: 5000))
    let field = String(repeating: "x", count: 64) + "…"
    try expect(answer, names: field, "is not known here; this request takes `limit`, `cursor`")
  }

  @Test func `A token request may have unknown parameters`() async throws {
    let answer = try await api.answer(
      "POST", "/api/v1/device/token?resource=a", [("content-type", "application/x-www-form-urlencoded")],
      body: .complete(Array("grant_type=client_credentials&audience=a".utf8)))
    #expect(try answer.string("error") == "invalid_client")
  }

  @Test func `Names are tested after authentication and before existence`() async throws {
    let refusing = APIUnderTest(token: .failure(.invalid(reason: "the token has expired")))
    #expect(try await refusing.answer("GET", "/api/v1/devices/nonsense?x").status == 401)
    #expect(try await ask("GET", "/api/v1/devices/nonsense?x").status == 400)
    #expect(try await ask("GET", "/api/v1/devices/nonsense").status == 404)
  }

  /// The document and the service's treatment of undeclared members are derived from the same keyword.
  @Test func `Every object of a request declares whether it may have other members`() {
    for endpoint in API.endpoints.operations where endpoint.input.isJSON {
      guard let body = endpoint.input.body else { continue }
      for object in objects(in: body.definition) {
        #expect(object.contains { $0.name == "additionalProperties" }, "\(body.name)")
      }
    }
  }

  /// Every schema of an object, except alternatives, which refine the schema around them.
  private func objects(in schema: JSONValue) -> [[(name: String, value: JSONValue)]] {
    guard case .object(let keywords) = schema else { return [] }
    let isObject = keywords.contains { $0.name == "type" && "\($0.value)".contains("\"object\"") }
    let inside = keywords.flatMap { keyword -> [JSONValue] in
      switch (keyword.name, keyword.value) {
      case ("properties", .object(let members)): members.map(\.value)
      case ("items", let items): [items]
      default: []
      }
    }
    return (isObject ? [keywords] : []) + inside.flatMap { objects(in: $0) }
  }
}

@Suite struct NamesInJSON {
  private static let schema: JSONValue = [
    "type": "object",
    "additionalProperties": false,
    "properties": [
      "list": [
        "type": "array",
        "items": [
          "type": "object", "additionalProperties": false,
          "properties": ["id": ["type": "string"], "note": ["type": "string"]],
        ],
      ],
      "labels": ["type": "object", "additionalProperties": ["type": "string"]],
      "select": [
        "oneOf": [
          ["type": "object", "properties": ["all": ["const": true]]],
          ["type": "object", "properties": ["group": ["type": "string"]]],
        ]
      ],
    ],
  ]

  private func fault(_ text: String) throws -> Problem? {
    let members = try #require(JSONMembers(of: Self.schema))
    do throws(Problem) { _ = try ParsedJSON(body: Array(text.utf8), knowing: members) } catch { return error }
    return nil
  }

  @Test(arguments: [
    #"{"list":[{"id":"a","note":"b"},{"note":"c"}],"labels":{"a":"1","b":"1"},"select":{"all":true}}"#,
    #"{"list":{"x":1},"labels":[{"x":1}],"select":{"group":"a"}}"#, #"[{"x":1}]"#, "1", "{}",
  ])
  func `Declared members are accepted, and the rules test their types`(_ text: String) throws {
    #expect(try fault(text)?.errors == nil)
  }

  @Test(arguments: [
    (
      #"{"list":[{"id":"a"},{"id":"b","Note":1}]}"#, "list.1.Note",
      "is not known here; perhaps `note` was meant"
    ),
    (#"{"list":[{"id":"a"},{"id":"b","id":1}],"x":1}"#, "list.1.id", "must not be given twice"),
    (#"{"labels":{"a":"1","b":"1","\u0061":"1"}}"#, "labels.a", "must not be given twice"),
    (#"{"select":{"groups":"a"}}"#, "select.groups", "is not known here; perhaps `group` was meant"),
    (#"{"x":{"list":[{"y":1}]}}"#, "x", "is not known here; this request takes `list`, `labels`, `select`"),
  ])
  func `The answer names the place of a member that is unknown or repeated`(
    _ text: String, _ field: String, _ message: String
  ) throws {
    #expect(try fault(text)?.errors == [Problem.FieldError(field: field, message: message)])
  }
}
