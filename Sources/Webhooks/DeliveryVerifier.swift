internal import Crypto
public import Encoding
public import Registry

/// Verifies deliveries, as a receiver does (Standard Webhooks, "Verifying webhook authenticity").
public struct DeliveryVerifier: Redacted, Sendable {
  /// How far the time of an attempt may be from the receiver's.
  public static let toleranceSeconds: Int64 = 300
  /// The fewest bytes of a key (Standard Webhooks, "Signature scheme").
  static let minimumKeyLength = 24

  private let key: [UInt8]

  /// Why a delivery is not valid.
  public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    case fieldMissing(String)
    case timestampMalformed
    case tooOld
    case fromTheFuture
    case signatureWrong

    public var description: String {
      switch self {
      case .fieldMissing(let name): "the field \(name) is missing"
      case .timestampMalformed: "webhook-timestamp is not a number"
      case .tooOld: "webhook-timestamp is more than \(DeliveryVerifier.toleranceSeconds) s ago"
      case .fromTheFuture: "webhook-timestamp is more than \(DeliveryVerifier.toleranceSeconds) s ahead"
      case .signatureWrong: "no signature matches: another secret, or the body was changed"
      }
    }
  }

  /// - Parameter secret: `whsec_...`. Nil if it is no such secret.
  public init?(secret: String) {
    let prefix = WebhookSecret.prefix.description
    guard secret.hasPrefix(prefix), let key = Base64.decode(String(secret.dropFirst(prefix.count))),
      key.count >= Self.minimumKeyLength
    else { return nil }
    self.key = key
  }

  /// What is wrong with a delivery; nil if it is valid.
  public func failure(
    id: String?, timestamp: String?, signature: String?, body: [UInt8], now: Timestamp
  ) -> Failure? {
    guard let id else { return .fieldMissing("webhook-id") }
    guard let timestamp else { return .fieldMissing("webhook-timestamp") }
    guard let signature else { return .fieldMissing("webhook-signature") }
    guard let seconds = DecimalText.read(timestamp.utf8).flatMap({ Int64(exactly: $0) }) else {
      return .timestampMalformed
    }
    let age = now.millisecondsSince1970 / 1000 - seconds
    guard age <= Self.toleranceSeconds else { return .tooOld }
    guard age >= -Self.toleranceSeconds else { return .fromTheFuture }
    let code = HMACSHA256.authenticate(key: key, message: Array("\(id).\(timestamp).".utf8) + body)
    // While keys are exchanged, a delivery has several signatures.
    let isValid = signature.split(separator: " ").contains { word in
      word.hasPrefix("v1,")
        && Base64.decode(String(word.dropFirst(3))).map { constantTimeEquals($0, code) } == true
    }
    return isValid ? nil : .signatureWrong
  }
}
