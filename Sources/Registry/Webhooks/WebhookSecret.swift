public import Encoding

/// The secret that signs a webhook's deliveries: `whsec_` and the base64 text of 32 random bytes, which are the HMAC key
/// (Standard Webhooks, "Signature scheme").
public struct WebhookSecret: Redacted, Sendable {
  /// The number of bytes of the key.
  public static let keyLength = 32
  public static let prefix: StaticString = "whsec_"
  /// The number of characters of the text.
  public static let textLength = prefix.utf8CodeUnitCount + Base64.encodedLength(keyLength)

  private let key: SecretBytes

  /// Takes the random source's next 32 bytes.
  init(random: some RandomSource) {
    key = SecretBytes(count: Self.keyLength) { key in
      SecretBytes.withRandomBytes(Self.keyLength, from: random) { _ = key.update(fromContentsOf: $0) }
    }
  }

  /// Opens the box that a store keeps. Throws `unavailable` if the sealer does not open it.
  public init(sealed box: [UInt8], of id: WebhookID, with sealer: any Sealer) throws(RegistryError) {
    key = try sealer.open(box, of: Webhook.secretPlace(id))
  }

  func sealed(for id: WebhookID, with sealer: any Sealer) -> [UInt8] {
    key.withBytes { sealer.seal($0, for: Webhook.secretPlace(id)) }
  }

  /// Passes the HMAC key to the closure. The caller wipes what it copies.
  public func withKey<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result { key.withBytes(body) }

  /// Passes the text to the closure, and wipes it afterwards.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    let text = SecretBytes(count: Self.textLength) { text in
      let start = Self.prefix.utf8CodeUnitCount
      _ = text.update(fromContentsOf: UnsafeBufferPointer(start: Self.prefix.utf8Start, count: start))
      key.withBytes { Base64.encode($0, into: UnsafeMutableBufferPointer(rebasing: text[start...])) }
    }
    return text.withBytes(body)
  }
}
