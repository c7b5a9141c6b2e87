import Crypto
import DeviceRegistryClient
import Foundation
import RequestSignature
import Synchronization

/// The routes of devices on a stand-in: accepts requests that are signed with the secret, each nonce once.
final class StandInDevices: Sendable {
  typealias Reply = StandInRegistry.Reply

  /// What happens to a request that verified.
  enum Step: Sendable {
    /// 200 and other statuses, signed.
    case signed(Reply)
    /// Any status, without a signature.
    case unsigned(Reply)
    /// Signed, with one thing that is not as it should be.
    case signedBadly(Reply, Flaw)
    /// The clock of the device is wrong, says an answer that nobody signed.
    case clockSkew(serverTime: String)
    case close
    case silence
  }

  enum Flaw: Sendable, CaseIterable {
    case otherNonce, otherDevice, otherKey, otherStatus, otherBody, noSignature, noDigest, doubled
  }

  static let id = "0190a5c2-7d3e-7b1a-8c4d-5e6f70819203"
  static let secret = String(repeating: "0123456789abcdef", count: 4)
  static let keys = Array(secret.utf8).withUnsafeBufferPointer { ScramKeys(secret: $0) }
  static let otherKeys = Array("another".utf8).withUnsafeBufferPointer { ScramKeys(secret: $0) }

  let registry: StandInRegistry
  private let log: Log

  /// What the requests proved, in their order; the script's steps go by the number of requests that were let in.
  private final class Log: Sendable {
    let proofs = Mutex<[RequestProof]>([])
    let nonces = Mutex<Set<String>>([])
    let authority = Mutex("")
  }

  init(_ script: @escaping @Sendable (StandInRegistry.Received, _ number: Int) -> Step) {
    let log = Log()
    self.log = log
    registry = StandInRegistry { request, _ in
      let view = request.view(authority: log.authority.withLock { $0 })
      guard let proof = try? RequestProof(view), proof.keyID == Self.id, proof.hasDigest(of: request.body),
        proof.verify(storedKey: Self.keys.storedKey)
      else { return .reply(.problem(401, "signature-invalid")) }
      let isNew = log.nonces.withLock { $0.insert(proof.nonce).inserted }
      guard isNew else { return .reply(.problem(401, "replayed")) }
      let number = log.proofs.withLock { proofs in
        proofs.append(proof)
        return proofs.count - 1
      }
      return Self.reaction(script(request, number), nonce: proof.nonce)
    }
    log.authority.withLock { $0 = registry.authority }
  }

  /// The steps in order; the last one is repeated.
  convenience init(_ steps: [Step]) {
    self.init { _, number in steps[min(number, steps.count - 1)] }
  }

  var url: String { registry.url }
  /// The requests that verified, in their order.
  var proofs: [RequestProof] { log.proofs.withLock { $0 } }

  private static func reaction(_ step: Step, nonce: String) -> StandInRegistry.Reaction {
    switch step {
    case .close: .close
    case .silence: .silence
    case .unsigned(let reply): .reply(reply)
    case .signed(let reply): .reply(sign(reply, nonce: nonce))
    case .signedBadly(let reply, let flaw): .reply(sign(reply, nonce: nonce, flaw: flaw))
    case .clockSkew(let time):
      .reply(.problem(401, "clock-skew", members: #","server_time":"\#(time)""#))
    }
  }

  private static func sign(_ reply: Reply, nonce: String, flaw: Flaw? = nil) -> Reply {
    let signed = ResponseSigner.sign(
      status: flaw == .otherStatus ? 500 : reply.status, body: reply.body, created: 1_893_456_000,
      keyID: flaw == .otherDevice ? "ffffffff-ffff-ffff-ffff-ffffffffffff" : id,
      nonce: flaw == .otherNonce ? "anotherNonce" : nonce,
      serverKey: (flaw == .otherKey ? otherKeys : keys).serverKey)
    var reply = reply
    var lines = signed.lines.map { ($0.name, $0.value) }
    switch flaw {
    case .otherBody: reply.body.append(UInt8(ascii: " "))
    case .noSignature: lines.removeAll { $0.0 == "Signature" }
    case .noDigest: lines.removeAll { $0.0 == "Content-Digest" }
    case .doubled: lines += lines
    default: break
    }
    reply.fields += lines
    return reply
  }
}
