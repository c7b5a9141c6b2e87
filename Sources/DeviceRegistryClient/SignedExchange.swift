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

  /// Differences of the registry's clock to ours, in milliseconds.
  private struct ClockOffsets {
    /// Confirmed by a signed answer.
    var confirmed: Int64 = 0
    /// From an unsigned answer, until a signed answer arrives.
    var proposed: Int64?
  }

  private let clockOffsets = Mutex(ClockOffsets())

  /// The greatest correction of the device's clock that an answer may ask for.
  private static let maximumCorrectionMilliseconds: Int64 = 24 * 60 * 60 * 1000

  init(
    origin: Origin, transport: Transport, credentials: DeviceCredentials, retries: RetryPolicy,
    system: ClientSystem
  ) {
    self.origin = origin
    self.transport = transport
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
    let answer = try await attempt(call, clockOffset: clockOffsets.withLock { $0.confirmed })
    if answer.isSuccess { return answer }
    guard case .problem(let problem) = answer.failure, problem.status == 401, problem.kind == "clock-skew",
      let serverTime = problem.serverTime, let offset = offset(to: serverTime)
    else { throw answer.failure }
    let second = try await attempt(call, clockOffset: offset)
    guard second.isSuccess else { throw second.failure }
    return second
  }

  /// The offset to sign the request with once more; nil if the time is too far from ours.
  ///
  /// The answer with the time is not signed, because the registry sent it before it looked up any key. An attacker on
  /// the network could have made it with a future time, hold back the request that is signed with it, and send it at
  /// that time. TLS prevents this; without TLS, the attacker gains one poll or acknowledgement, a repetition of what
  /// the device sent anyway. Therefore only one such time is used until a signed answer shows which time the registry
  /// accepts.
  private func offset(to serverTime: Date) -> Int64? {
    let milliseconds = (serverTime.timeIntervalSince1970 * 1000).rounded()
    return clockOffsets.withLock { offsets in
      if let proposed = offsets.proposed { return proposed }
      guard let offset = Int64(exactly: milliseconds).map({ $0 - system.now() }),
        offset.magnitude <= Self.maximumCorrectionMilliseconds
      else { return nil }
      offsets.proposed = offset
      return offset
    }
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
    clockOffsets.withLock { $0 = ClockOffsets(confirmed: clockOffset) }
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
