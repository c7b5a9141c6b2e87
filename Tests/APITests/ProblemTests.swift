import API
import HTTP
import Registry
import Synchronization
import TestSupport
import Testing

@Suite struct Problems {
  /// Every error of the registry, the status it becomes, and the end of its type.
  static let errors: [(RegistryError, Int, String)] = [
    (.invalid(field: "f", message: "is odd"), 400, "invalid-value"),
    (.clientNotFound, 404, "client-not-found"), (.deviceNotFound, 404, "device-not-found"),
    (.notOwner, 403, "not-owner"),
    (.clientIDTaken, 409, "client-id-taken"), (.clientEmailTaken, 409, "client-email-taken"),
    (.deviceNameTaken, 409, "device-name-taken"), (.deviceRevoked, 409, "device-revoked"),
    (.tooManyDevices(limit: 7), 409, "too-many-devices"),
    (.overloaded(queue: "SECRET"), 503, "overloaded"), (.unavailable(cause: "SECRET"), 503, "unavailable"),
    (.fault(cause: "SELECT SECRET"), 500, "internal-error"),
  ]

  @Test(arguments: errors)
  func `Each error has its status and its type, and keeps its cause to itself`(
    _ error: RegistryError, _ status: Int, _ name: String
  ) async throws {
    let api = APIUnderTest(storeThrows: error)
    // The route that declares the status.
    let (method, target) =
      switch error {
      case .clientIDTaken, .clientEmailTaken: ("POST", "/api/v1/clients")
      case .invalid, .notOwner, .deviceRevoked, .deviceNotFound:
        ("PATCH", "/api/v1/devices/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a")
      default: ("POST", "/api/v1/devices")
      }
    let answer = try await api.answer(
      method, target, [("authorization", "Bearer t"), ("content-type", "application/json")],
      body: .complete(Array((target == "/api/v1/clients" ? "{}" : #"{"device_name":"EA"}"#).utf8)))
    #expect(answer.status == status)
    #expect(answer.value(of: "Content-Type") == "application/problem+json")
    #expect(try answer.string("type") == "https://device-registry.example/problems/" + name)
    #expect(try answer.object()["status"] as? Int == status)
    #expect(try answer.string("request_id") == "test-1")
    #expect(!answer.text.contains("SECRET"))
    let reported = try #require(api.answered.first)
    #expect(reported.requestID == "test-1" && reported.problem == name)
    #expect((reported.cause != nil) == (status >= 500))
    #expect(reported.cause?.contains("SECRET") != false)
    #expect((answer.value(of: "Retry-After") != nil) == (status == 503))
  }

  @Test(arguments: [
    (Refusal.missingHost, 400), (.conflictingLengths, 400), (.invalidField, 400), (.headerTooLarge, 431),
    (.versionNotSupported, 505), (.unavailable, 503),
  ])
  func `A refusal of the server is a problem of the same status`(_ refusal: Refusal, _ status: Int) throws {
    let answer = APIUnderTest().refuse(refusal)
    #expect(answer.status == status && refusal.status == status)
    #expect(try answer.string("request_id") == "test-1")
    #expect((answer.value(of: "Retry-After") != nil) == (status == 503))
  }

  @Test func `Unavailable keys give 503, not an invalid token`() async throws {
    let api = APIUnderTest(token: .failure(.unavailable(cause: "SECRET")))
    let answer = try await api.answer("GET", "/api/v1/devices")
    #expect(answer.status == 503)
    #expect(!answer.text.contains("SECRET"))
    #expect(api.answered.map(\.cause) == ["SECRET"])
  }
}

/// The first check that fails decides the answer.
@Suite struct OrderOfChecks {
  private static let notAdministrator = OwnerToken(
    subject: "alice", clientID: ClientID("alice")!, scopes: [],
    expiresAt: Timestamp(millisecondsSince1970: 1000))

  /// Each request also fails every later check.
  @Test func `Path, method, size, authentication, scope, media type and syntax, existence`() async throws {
    let api = APIUnderTest(storeThrows: .deviceNotFound, token: .success(Self.notAdministrator))
    let refusing = APIUnderTest(token: .failure(.invalid(reason: "the token has expired")))
    let text = [("content-type", "text/plain")]
    #expect(try await api.answer("BREW", "/coffee", text, body: .tooLarge(maximumBytes: 9)).status == 404)
    #expect(
      try await api.answer("BREW", "/api/v1/clients", text, body: .tooLarge(maximumBytes: 9)).status == 405)
    #expect(
      try await api.answer("POST", "/api/v1/clients", text, body: .tooLarge(maximumBytes: 9)).status == 413)
    #expect(try await api.answer("POST", "/api/v1/clients", text).status == 401)
    let token = [("authorization", "Bearer t")]
    #expect(try await refusing.answer("POST", "/api/v1/clients", token + text).status == 401)
    #expect(try await api.answer("POST", "/api/v1/clients", token + text).status == 403)
    #expect(try await api.answer("PATCH", "/api/v1/devices/nonsense", token + text).status == 415)
    #expect(try await api.answer("PATCH", "/api/v1/devices/nonsense", token).status == 400)
    let json = token + [("content-type", "application/json")]
    let body = Array(#"{"device_name":"EA"}"#.utf8)
    #expect(
      try await api.answer("PATCH", "/api/v1/devices/nonsense", json, body: .complete(body)).status == 404)
  }

  /// The rule also applies to a body that the route does not read.
  @Test(arguments: [
    ("POST", "/api/v1/devices/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a/revoke"),
    ("DELETE", "/api/v1/clients/alice"),
    ("GET", "/api/v1/devices?limit=x"), ("GET", "/healthz"), ("GET", "/api/v1/devices/nonsense"),
  ])
  func `A body of another type is refused by routes that read no body`(_ method: String, _ target: String)
    async throws
  {
    let api = APIUnderTest(storeThrows: .unavailable(cause: "reached"))
    let (token, body) = ([("authorization", "Bearer t")], Request.Body.complete(Array("{}".utf8)))
    let text = token + [("content-type", "text/plain")]
    #expect(try await api.answer(method, target, text, body: body).status == 415)
    #expect(try await api.answer(method, target, token, body: body).status == 415)
    #expect(try await api.answer(method, target, token + [("content-encoding", "gzip")]).status == 415)
    // An empty body has no type, and a route that reads no body still accepts JSON.
    #expect(try await api.answer(method, target, text).status != 415)
    #expect(
      try await api.answer(method, target, token + [("content-type", "application/json")], body: body).status
        != 415)
    let refusing = APIUnderTest(token: .failure(.invalid(reason: "the token has expired")))
    #expect(
      try await refusing.answer(method, target, text, body: body).status == (target == "/healthz" ? 415 : 401))
  }

  @Test func `The answer for an unavailable database does not claim that nothing was changed`()
    async throws
  {
    let api = APIUnderTest(storeThrows: .unavailable(cause: "SECRET"))
    let answer = try await api.answer("DELETE", "/api/v1/clients/alice")
    #expect(try answer.string("detail")?.contains("may or may not have been made") == true)
  }

  @Test func `A body that is too large is refused with the largest size`() async throws {
    let answer = try await APIUnderTest().answer(
      "POST", "/api/v1/clients", body: .tooLarge(maximumBytes: 4711))
    #expect(answer.status == 413)
    #expect(try answer.string("detail") == "The body has more than 4711 bytes; send at most that many.")
  }

  @Test(arguments: [
    ("/api/v1/devices/", true), ("/api/v1/devices/a/revoke/", true), ("/healthz/", true), ("/", false),
    ("/api/v1/devices//", false), ("/coffee/", false), ("/coffee", false),
  ])
  func `A known path with a slash at its end is refused with that reason`(_ path: String, _ isOurs: Bool)
    async throws
  {
    let answer = try await APIUnderTest().answer("GET", path)
    #expect(answer.status == 404)
    #expect(try answer.string("detail")?.contains("without the slash at the end") == isOurs)
  }

  @Test func `A 405 says what is allowed`() async throws {
    let api = APIUnderTest()
    #expect(try await api.answer("PUT", "/api/v1/devices").value(of: "Allow") == "POST, GET, HEAD")
    #expect(try await api.answer("get", "/healthz").value(of: "Allow") == "GET, HEAD")
    let client = try await api.answer("OPTIONS", "/api/v1/clients/a")
    #expect(client.value(of: "Allow") == "GET, HEAD, PATCH, DELETE")
  }
}

@Suite struct Authorization {
  @Test(arguments: [
    [], [("authorization", "")], [("authorization", "Bearer")], [("authorization", "Bearer ")],
    [("authorization", "Basic YTpi")], [("authorization", "t")],
  ])
  func `Without a bearer token the challenge names no error`(_ fields: [(String, String)]) async throws {
    let answer = try await APIUnderTest().answer("GET", "/api/v1/devices", fields)
    #expect(answer.status == 401)
    #expect(answer.value(of: "WWW-Authenticate") == "Bearer")
  }

  @Test func `A token that fails verification is an invalid token`() async throws {
    let api = APIUnderTest(token: .failure(.invalid(reason: "the token has expired")))
    let answer = try await api.answer("GET", "/api/v1/devices")
    #expect(answer.status == 401)
    #expect(
      answer.value(of: "WWW-Authenticate")
        == #"Bearer error="invalid_token", error_description="the token has expired""#)
    #expect(try answer.string("detail") == "The token was refused: the token has expired.")
  }

  @Test func `A device's token on an owner's path is refused as one, and the other way round`() async throws {
    let api = APIUnderTest(token: .failure(.invalid(reason: "the token is not three parts in base64url")))
    let ofDevice = try await api.answer("GET", "/api/v1/devices", [("authorization", "Bearer drt_x")])
    #expect(ofDevice.status == 401)
    #expect(
      try ofDevice.string("detail")
        == "The token was refused: it is a device's access token; this path needs the JWT of an owner.")
    let ofOwner = try await api.answer("GET", "/api/v1/device", [("authorization", "Bearer a.b.c")])
    #expect(ofOwner.status == 401)
    #expect(try ofOwner.string("detail")?.contains("does not take the JWT of an owner") == true)
  }

  @Test func `Two Authorization fields are refused`() async throws {
    let token = ("authorization", "Bearer t")
    let answer = try await APIUnderTest().answer("GET", "/api/v1/devices", [token, token])
    #expect(answer.value(of: "WWW-Authenticate")?.hasPrefix(#"Bearer error="invalid_token", "#) == true)
  }

  @Test func `A missing scope is named`() async throws {
    let api = APIUnderTest(
      token: .success(
        OwnerToken(
          subject: "alice", clientID: ClientID("alice")!, scopes: ["registry:administrator"],
          expiresAt: Timestamp(millisecondsSince1970: 1000))))
    let answer = try await api.answer("GET", "/api/v1/clients")
    #expect(answer.status == 403)
    #expect(
      answer.value(of: "WWW-Authenticate") == #"Bearer error="insufficient_scope", scope="registry:admin""#)
  }
}
