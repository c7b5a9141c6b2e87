internal import Encoding
internal import Foundation
internal import RequestSignature
internal import Synchronization

/// Makes a device's requests: each signed anew, each answer verified, and made again where that may help.
final class SignedExchange: Sendable {
  private let origin: Origin
  private let transport: Transport
  private let signer: RequestSigner
  private let system: ClientSystem
  let retries: RetryPolicy

  /// What the registry's clock is ahead of ours, in milliseconds, as far as a signed answer has confirmed it.
  private let clockOffset = Mutex<Int64>(0)

  init(origin: Origin, credentials: DeviceCredentials, retries: RetryPolicy, system: ClientSystem) {
    self.origin = origin
    transport = Transport(origin: origin)
    signer = credentials.signer
    self.retries = retries
    self.system = system
  }

  /// Makes a request until it succeeds, fails for good, or failed as often as it may. By the contract, polls and
  /// acknowledgements may be repeated. The answer is a success and the registry's.
  func perform(_ call: Call) async throws(RegistryClientError) -> Answer {
    try await retries.repeating(on: system, again: { $0.isTransient }) { () async throws(RegistryClientError) in
      try await self.performOnce(call)
    }
  }

  /// Makes a request once, and once more if the registry finds the device's clock wrong.
  func performOnce(_ call: Call) async throws(RegistryClientError) -> Answer {
    let answer = try await attempt(call, clockOffset: clockOffset.withLock { $0 })
    if answer.isSuccess { return answer }
    guard case .problem(let problem) = answer.failure, problem.status == 401, problem.kind == "clock-skew",
      let serverTime = problem.serverTime
    else { throw answer.failure }
    return try await performOnce(call, at: serverTime)
  }

  /// Makes a request with the clock that the registry named, and keeps to it if that was the registry.
  ///
  /// The answer that named it is not signed, for it came before any key was asked for; whoever is on the way could
  /// have made it, with a time to come, hold back the request that is signed with it, and present it when that time
  /// is there. With TLS nobody is on the way; without it, they win one poll or one acknowledgement, which repeats
  /// what the device wanted anyway. So the time serves this one request, and later ones only once an answer to this
  /// one, signed for its nonce, shows that the registry found it timely.
  private func performOnce(_ call: Call, at serverTime: Date) async throws(RegistryClientError) -> Answer {
    guard let serverMilliseconds = Int64(exactly: (serverTime.timeIntervalSince1970 * 1000).rounded()) else {
      throw .malformedAnswer("server_time is no time")
    }
    let offset = serverMilliseconds - system.now()
    let answer = try await attempt(call, clockOffset: offset)
    if answer.isSigned { clockOffset.withLock { $0 = offset } }
    guard answer.isSuccess else { throw answer.failure }
    return answer
  }

  /// Signs, sends, verifies. An answer that has a signature must have a good one, whatever its status; a success must
  /// have one.
  private func attempt(_ call: Call, clockOffset: Int64) async throws(RegistryClientError) -> Answer {
    let nonce = Self.nonce(system.random(), system.random())
    let fields: SignatureFields
    do {
      fields = try signer.sign(
        RequestView(
          method: call.method, target: call.target, scheme: origin.scheme, authority: origin.authority,
          body: Array(call.body ?? Data()), lines: { _ in [] }),
        nonce: nonce, created: (system.now() + clockOffset) / 1000)
    } catch {
      throw .invalidArgument(name: "the request", message: "cannot be signed: \(error)")
    }
    let answer = try await transport.exchange(call, fields: fields.lines)
    guard answer.isSuccess || answer.isSigned else { return answer }
    do {
      try signer.responseVerifier(nonce: nonce).verify(answer.view)
    } catch {
      throw .notAuthentic("\(error)")
    }
    return answer
  }

  /// Waits as the policy says. Throws `cancelled`.
  func pause(afterFailures failures: Int, retryAfterSeconds: Int64?) async throws(RegistryClientError) {
    try await retries.pause(on: system, afterFailures: failures, retryAfterSeconds: retryAfterSeconds)
  }

  /// 128 bits in base64url (RFC 4648, section 5) without padding, 22 characters.
  private static func nonce(_ high: UInt64, _ low: UInt64) -> String {
    Base64URL.encode([high, low].flatMap { half in withUnsafeBytes(of: half.bigEndian) { Array($0) } })
  }
}

extension ClientSystem {
  /// Sleeps. Throws `cancelled`.
  func pause(for duration: Duration) async throws(RegistryClientError) {
    do { try await sleep(duration) } catch { throw .cancelled }
  }
}

extension Answer {
  /// Whether it says that it is signed; whether it is, the verifier tells.
  fileprivate var isSigned: Bool { value(of: "signature") != nil || value(of: "signature-input") != nil }

  fileprivate var view: ResponseView {
    ResponseView(status: status, body: Array(body)) { [fields] name in fields[name].map { [$0] } ?? [] }
  }
}
