internal import Crypto
internal import Encoding
internal import Registry

/// The signature of a delivery, as Standard Webhooks has it: HMAC-SHA-256 of `ID.TIMESTAMP.BODY`
/// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Signature scheme").
enum DeliverySignature {
  /// The header fields that identify and sign a delivery.
  ///
  /// - Parameters:
  ///   - id: the event's; the same in each attempt, so that receivers can recognise a repetition.
  ///   - time: of the attempt; receivers refuse old ones.
  static func fields(
    id: EventID, at time: Timestamp, body: [UInt8], secret: WebhookSecret
  ) -> [(name: String, value: String)] {
    let seconds = String(time.millisecondsSince1970 / 1000)
    let message = Array("\(id).\(seconds).".utf8) + body
    let code = secret.withKey { key in
      message.withUnsafeBufferPointer { HMACSHA256.authenticate(key: key, message: $0) }
    }
    return [
      ("webhook-id", id.description), ("webhook-timestamp", seconds),
      ("webhook-signature", "v1,\(Base64.encode(code))"),
    ]
  }
}
