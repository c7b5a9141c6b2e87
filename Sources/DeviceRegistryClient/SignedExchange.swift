internal import Encoding
internal import Foundation
internal import RequestSignature
internal import Synchronization

/// Sends a device's requests: signs each attempt, verifies each answer, and retries where that may help.
final class SignedExchange: Sendable {
  private let origin: Origin
  private let transport: Transport
  private let signer: RequestSigner
  private let system: ClientSystem
  let retries: RetryPolicy

  /// The difference of the registry's clock to ours, in milliseconds, as confirmed by a signed answer.
  private let clockOffset = Mutex<Int64>(0)

  init(origin: Origin, credentials: DeviceCredentials, retries: RetryPolicy, system: ClientSystem) {
    self.origin = origin
    transport = Transport(origin: origin)
    signer = credentials.signer
    self.retries = retries
    self.system = system
  }

  /// Sends a request with retries. The contract allows to repeat polls and acknowledgements. The answer is a success
  /// with the registry's signature.
  func perform(_ call: Call) async throws(RegistryClientError) -> Answer {
    try await retries.repeating(on: system, again: { $0.isTransient }) { () async throws(RegistryClientError) in
      try await self.performOnce(call)
    }
  }

  /// Sends a request, and once more if the registry says that the device's clock is wrong.
  func performOnce(_ call: Call) async throws(RegistryClientError) -> Answer {
    let answer = try await attempt(call, clockOffset: clockOffset.withLock { $0 })
    if answer.isSuccess { return answer }
    guard case .problem(let problem) = answer.failure, problem.status == 401, problem.kind == "clock-skew",
      let serverTime = problem.serverTime
    else { throw answer.failure }
    return try await performOnce(call, at: serverTime)
  }

  /// Sends a request with the time that the registry gave, and keeps that time if the registry confirms it.
  ///
  /// The answer with the time is not signed, because the registry sent it before it looked up any key. An attacker on
  /// the network could have made it with a future time, hold back the request that is signed with it, and send it at
  /// that time. TLS prevents this; without TLS, the attacker gains one poll or acknowledgement, a repetition of what
  /// the device sent anyway. Therefore the time is used for this request only, and for later ones after a signed
  /// answer with this nonce shows that the registry accepted it.
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

  /// Signs, sends and verifies. If the answer has a signature, it must be valid, whatever the status; a success must
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

  /// Waits as the policy requires. Throws `cancelled`.
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
  /// Whether the answer has a signature, valid or not.
  fileprivate var isSigned: Bool { value(of: "signature") != nil || value(of: "signature-input") != nil }

  fileprivate var view: ResponseView {
    ResponseView(status: status, body: Array(body)) { [fields] name in fields[name].map { [$0] } ?? [] }
  }
}
