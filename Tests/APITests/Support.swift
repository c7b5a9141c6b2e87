import API
@testable import HTTP
import Encoding
import Registry
import Synchronization
import TestSupport
import Testing

/// An API with test doubles for everything outside, and a record of what it reported to the log and the metrics.
final class APIUnderTest: Sendable {
  private let observed = Mutex<[AnsweredRequest]>([])
  private let error: RegistryError
  private let token: Result<OwnerToken, OwnerTokenError>
  private static let checker = Result { try OpenAPIChecker(document: API.openAPIDocument(publicURL: nil)) }

  /// - Parameters:
  ///   - error: what every operation of the store throws.
  ///   - token: what every token verifies to.
  init(
    storeThrows error: RegistryError = .fault(cause: "no store"),
    token: Result<OwnerToken, OwnerTokenError> = .success(
      OwnerToken(
        subject: "alice", clientID: ClientID("alice")!, scopes: ["registry:admin"],
        expiresAt: Timestamp(millisecondsSince1970: 1000)))
  ) {
    self.error = error
    self.token = token
  }

  func answer(
    _ method: String, _ target: String, _ fields: [(String, String)] = [("authorization", "Bearer t")],
    body: Request.Body = .complete([])
  ) async throws -> HTTPAnswer {
    let section = fields.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
    let header = try HeaderFields(Array(section.utf8), maximumLines: fields.count)
    let request = Request(
      id: "test-1", method: method, target: target, fields: header, body: body,
      client: IPAddress("192.0.2.1")!)
    let answer = Self.wire(await api().respond(to: request))
    for violation in try Self.checker.get().violations(of: answer, to: method, target) {
      Issue.record("\(violation)")
    }
    return answer
  }

  /// The answer of a route that reads a device name.
  func answer(toBody body: [UInt8], contentType: String? = "application/json") async throws -> HTTPAnswer {
    let type = contentType.map { [("content-type", $0)] } ?? []
    return try await answer(
      "POST", "/api/v1/devices", [("authorization", "Bearer t")] + type, body: .complete(body))
  }

  func refuse(_ refusal: Refusal) -> HTTPAnswer { Self.wire(api().refuse(refusal, requestID: "test-1")) }

  private func api() -> API {
    let store = FailingStore(error: error)
    let outside = Outside()
    let live = LiveDevices(monotonicMilliseconds: { 0 })
    let limits = RateLimits(RateLimits.Settings(), random: outside, monotonicMilliseconds: { 0 })
    return API(
      services: Services(
        store: store, live: live, replay: outside, hasher: outside, limits: limits, clock: outside,
        random: outside,
        observer: Unobserved(), skewSeconds: 300, maxDevicesPerClient: 10),
      verifier: FixedVerifier(token: token), origin: SignatureOrigin(scheme: "http")
    ) { event in self.observed.withLock { $0.append(event) } }
  }

  // MARK: What it reported

  var answered: [AnsweredRequest] { observed.withLock { $0 } }

  /// The answer with the fields that the server adds.
  private static func wire(_ response: Response) -> HTTPAnswer {
    var fields = response.fields.map { (name: "\($0.name)".lowercased(), value: $0.value) }
    fields += [("x-request-id", "test-1"), ("cache-control", "no-store")]
    if let type = response.contentType { fields.append(("content-type", "\(type)")) }
    return HTTPAnswer(
      status: response.status, fields: fields, body: response.body?.withBytes { Array($0) } ?? [])
  }
}

private struct FixedVerifier: OwnerTokenVerifier {
  let token: Result<OwnerToken, OwnerTokenError>
  let keyGeneration = 0
  func verify(_ token: String, at now: Timestamp) async throws(OwnerTokenError) -> OwnerToken {
    try self.token.get()
  }
}

/// A database that fails in one way, which no real one does on demand.
private struct FailingStore: UnusableStore {
  let error: RegistryError
}

private struct Outside: PasswordHasher, ReplayStore, Clock, RandomSource {
  func remember(_ nonce: SignedNonce) async throws(RegistryError) -> Bool { true }

  func verifier(
    for secret: DeviceSecret, of client: ClientID, isRotation: Bool
  ) async throws(RegistryError) -> SecretVerifier {
    throw .overloaded(queue: "argon2id")
  }
  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool { { _ in false } }
  func verify(
    _ secret: DeviceSecret, against hmacKeyHash: String, of client: ClientID
  ) async throws(RegistryError) -> Bool { false }
  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash {
    TokenHash(Array(repeating: 0, count: TokenHash.length))
  }
  func now() -> Timestamp { Timestamp(millisecondsSince1970: 0) }
  func fill(_ buffer: UnsafeMutableRawBufferPointer) { buffer.initializeMemory(as: UInt8.self, repeating: 0) }
}
