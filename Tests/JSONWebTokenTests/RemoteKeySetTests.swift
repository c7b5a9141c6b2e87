import Synchronization
import Testing

@testable import JSONWebToken

/// An identity provider and a clock, both set by the test.
private final class Provider: Sendable {
  struct State {
    var time: Int64 = 0
    var answer: Result<FetchedKeySet, JWKSetError> = .failure(.notFetched(reason: "down"))
    var fetches = 0
    var events: [KeySetEvent] = []
  }
  let state = Mutex(State())

  /// - Parameter gate: delays the fetch until it opens.
  func keys(gate: Gate? = nil, maximumAgeHours: Int = 24) -> RemoteJWKSet {
    RemoteJWKSet(
      maximumAgeHours: maximumAgeHours,
      monotonicMilliseconds: { self.state.withLock { $0.time } },
      report: { event in self.state.withLock { $0.events.append(event) } }
    ) { () async throws(JWKSetError) in
      await gate?.pass()
      let answer = self.state.withLock {
        $0.fetches += 1
        return $0.answer
      }
      return try answer.get()
    }
  }

  func publish(_ keys: String..., lifetimeSeconds: Int = 300) throws {
    let set = try JWKSet(json: Array(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8))
    state.withLock { $0.answer = .success(FetchedKeySet(keys: set, lifetimeSeconds: lifetimeSeconds)) }
  }

  func publishUnusable(_ key: String) {
    do throws(JWKSetError) { _ = try JWKSet(json: keySet(key)) } catch {
      state.withLock { [error] in $0.answer = .failure(error) }
    }
  }

  func fail() { state.withLock { $0.answer = .failure(.notAKeySet) } }
  func pass(milliseconds: Int64) { state.withLock { $0.time += milliseconds } }
  var fetches: Int { state.withLock { $0.fetches } }
}

/// Delays fetches until the test opens it.
private final class Gate: Sendable {
  private let (opening, opener) = AsyncStream.makeStream(of: Void.self)
  func open() { opener.finish() }
  func pass() async { for await _ in opening {} }
}

@Suite("Keys from a URL: when they are fetched")
struct RemoteKeySetTests {
  private let provider = Provider()
  private let keyA = TestKey.rsa.jwk(#""kid":"a""#)
  private let keyB = TestKey.otherRSA.jwk(#""kid":"b""#)
  private let tokenA = token(.rsa, "RS256", kid: "a")
  private let tokenB = token(.otherRSA, "RS256", kid: "b")

  private func expectError(_ error: TokenError?, _ token: String, _ keys: RemoteJWKSet) async {
    let verifier = TokenVerifier(secret: nil, remoteKeys: keys)
    await expect(error) { () async throws(TokenError) in
      try await verifier.verify(token, nowMilliseconds: now * 1000)
    }
  }

  @Test
  func `Keys are fetched at first, and again when their lifetime ends; removed keys no longer verify`()
    async throws
  {
    let keys = provider.keys()
    try provider.publish(keyA, lifetimeSeconds: 60)
    await keys.refreshIfDue()
    #expect(keys.current != nil)
    await expectError(nil, tokenA, keys)
    try provider.publish(keyB)
    provider.pass(milliseconds: 59_999)
    await keys.refreshIfDue()
    #expect(provider.fetches == 1)
    provider.pass(milliseconds: 1)
    await keys.refreshIfDue()
    #expect(provider.fetches == 2)
    await expectError(nil, tokenB, keys)
    await expectError(.unknownKey, tokenA, keys)
    #expect(provider.state.withLock { $0.events.first } == .fetched(keys: 1, refusals: [], lifetimeSeconds: 60))
  }

  @Test
  func `Keys are fetched on an unknown kid, at most once in 10 s`() async throws {
    let keys = provider.keys()
    try provider.publish(keyA)
    await keys.refreshIfDue()
    try provider.publish(keyA, keyB)
    provider.pass(milliseconds: 9_999)
    await expectError(.unknownKey, tokenB, keys)
    #expect(provider.fetches == 1)
    provider.pass(milliseconds: 1)
    await expectError(nil, tokenB, keys)
    #expect(provider.fetches == 2)
    await expectError(.unknownKey, token(.rsa, "RS256", kid: "z"), keys)
    #expect(provider.fetches == 2)
    // A token without a kid does not cause a fetch.
    provider.pass(milliseconds: 20_000)
    await expectError(.unknownKey, token(.p256, "ES256"), keys)
    #expect(provider.fetches == 2)
  }

  @Test
  func `A failed fetch keeps the keys, and is retried after 10 s`() async throws {
    let keys = provider.keys()
    try provider.publish(keyA, lifetimeSeconds: 10)
    await keys.refreshIfDue()
    provider.fail()
    provider.pass(milliseconds: 10_000)
    await keys.refreshIfDue()
    await expectError(nil, tokenA, keys)
    #expect(provider.state.withLock { $0.events.last } == .failed(.notAKeySet))
    await keys.refreshIfDue()
    #expect(provider.fetches == 2)
    provider.pass(milliseconds: 10_000)
    await keys.refreshIfDue()
    #expect(provider.fetches == 3)
  }

  @Test(arguments: ["", #"{"kty":"oct","k":"AAAA"}"#])
  func `A set without a usable key keeps the keys until they are too old`(key: String) async throws {
    let keys = provider.keys(maximumAgeHours: 1)
    try provider.publish(keyA, lifetimeSeconds: 86_400)
    await keys.refreshIfDue()
    provider.publishUnusable(key)
    // A fetch is due in time, whatever lifetime the provider gives.
    provider.pass(milliseconds: 1_800_000)
    await keys.refreshIfDue()
    #expect(provider.fetches == 2)
    guard case .failed(.noUsableKey(let refusals))? = provider.state.withLock({ $0.events.last }) else {
      Issue.record("\(provider.state.withLock { $0.events })")
      return
    }
    #expect(refusals.count == (key.isEmpty ? 0 : 1))
    provider.pass(milliseconds: 1_799_999)
    await keys.refreshIfDue()
    await expectError(nil, tokenA, keys)
    let generation = keys.generation
    provider.pass(milliseconds: 1)
    await keys.refreshIfDue()
    #expect(keys.generation == generation + 1)
    #expect(provider.state.withLock { $0.events.contains(.ended) })
    await expectError(.keysUnavailable, tokenA, keys)
    try provider.publish(keyA)
    provider.pass(milliseconds: 10_000)
    await keys.refreshIfDue()
    await expectError(nil, tokenA, keys)
  }

  @Test
  func `After a failed fetch keys are unavailable rather than unknown, until a fetch succeeds`() async throws {
    let keys = provider.keys()
    try provider.publish(keyA)
    await keys.refreshIfDue()
    provider.fail()
    provider.pass(milliseconds: 10_000)
    await expectError(.keysUnavailable, tokenB, keys)
    await expectError(.keysUnavailable, tokenB, keys)
    await expectError(nil, tokenA, keys)
    #expect(provider.fetches == 2)
    try provider.publish(keyA)
    provider.pass(milliseconds: 10_000)
    await expectError(.unknownKey, tokenB, keys)
  }

  @Test
  func `Before the first fetch keys are unavailable rather than unknown`() async throws {
    let keys = provider.keys()
    await expectError(.keysUnavailable, tokenA, keys)
    await expectError(.keysUnavailable, tokenA, keys)
    #expect(provider.fetches == 1 && keys.current == nil)
    try provider.publish(keyA)
    provider.pass(milliseconds: 10_000)
    await expectError(nil, token(.rsa, "RS256"), keys)
  }

  @Test
  func `Concurrent requests share one fetch, up to a limit`() async throws {
    let gate = Gate()
    let keys = provider.keys(gate: gate)
    try provider.publish(keyA)
    let results = await withTaskGroup(of: Bool.self) { group in
      for _ in 0...RemoteJWKSet.maximumWaiting {
        group.addTask { (try? await keys.refetched()) != nil }
      }
      // All but one wait for the gate: the first to end is the one beyond the limit.
      var results = [await group.next()!]
      gate.open()
      for await result in group { results.append(result) }
      return results
    }
    #expect(results.count(where: { !$0 }) == 1 && !results[0])
    #expect(provider.fetches == 1)
  }

  @Test
  func `Keys of a file and of a URL are used together`() async throws {
    let keys = provider.keys()
    try provider.publish(keyB)
    await keys.refreshIfDue()
    let verifier = TokenVerifier(secret: nil, keys: try JWKSet(json: keySet(keyA)), remoteKeys: keys)
    for token in [tokenA, tokenB] {
      await expect(nil) { () async throws(TokenError) in
        try await verifier.verify(token, nowMilliseconds: now * 1000)
      }
    }
  }

  @Test
  func `The background service checks every second until it is cancelled`() async throws {
    let keys = provider.keys()
    try provider.publish(keyA, lifetimeSeconds: 10)
    await Task {
      await keys.run { milliseconds in
        provider.pass(milliseconds: Int64(milliseconds))
        if provider.fetches == 3 { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }.value
    #expect(provider.state.withLock { $0.time } == 21_000)
  }

  @Test(
    arguments: [
      ([], nil, nil, 300), (["max-age=60"], nil, nil, 60), (["public, Max-Age=\"60\""], nil, 9, 60),
      (["public", "max-age=60"], 20, nil, 40), (["max-age=60"], 55, nil, 10), (["max-age=1"], nil, nil, 10),
      (["max-age=999999999"], nil, nil, 86_400), (["max-age=x"], nil, nil, 300), (["no-store"], nil, nil, 10),
      (["max-age=60, no-cache"], nil, nil, 10), ([], nil, 120, 120), ([], nil, -5, 10),
      (["max-age=60"], -9, nil, 60), (["max-age=-9223372036854775808"], Int.max, nil, 10),
    ] as [([String], Int?, Int?, Int)])
  func `The header fields set the lifetime of keys, between 10 s and a day`(
    cacheControl: [String], age: Int?, expires: Int?, seconds: Int
  ) {
    #expect(
      KeySetFreshness.seconds(cacheControl: cacheControl, ageSeconds: age, expiresInSeconds: expires) == seconds
    )
  }
}
