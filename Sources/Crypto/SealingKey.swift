internal import CSodium
public import Encoding

/// A key that seals secrets in boxes, with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) of libsodium.
///
/// A box is the byte 1, the key's id, a random nonce of 24 bytes, the ciphertext, and its tag of 16 bytes. The key is in
/// memory that is not swapped if the system allows it, and is wiped when the last reference is released.
public final class SealingKey: Redacted, Sendable {
  /// The number of bytes of a key.
  public static let length = Int(crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
  /// The number of bytes of `id`.
  public static let idLength = 8
  /// How much longer a box is than its content.
  public static let overhead = headerLength + nonceLength + Int(crypto_aead_xchacha20poly1305_ietf_ABYTES)

  private static let format: UInt8 = 1
  private static let headerLength = 1 + idLength
  private static let nonceLength = Int(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
  private static let idLabel: StaticString = "device-registry sealing key id"

  private nonisolated(unsafe) let key: UnsafeMutablePointer<UInt8>
  /// Names the key: the first bytes of HMAC-SHA-256(key, "device-registry sealing key id"). It is no secret.
  public let id: [UInt8]

  /// Passes `length` zeroed bytes to `write`, which fills them.
  public init(write: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    Sodium.start()
    guard let memory = sodium_malloc(Self.length) else { preconditionFailure("no memory for a sealing key") }
    key = memory.bindMemory(to: UInt8.self, capacity: Self.length)
    let bytes = UnsafeMutableBufferPointer(start: key, count: Self.length)
    bytes.update(repeating: 0)
    write(bytes)
    id = Self.idLabel.withUTF8Buffer { label in
      Array(HMACSHA256.authenticate(key: UnsafeBufferPointer(bytes), message: label).prefix(Self.idLength))
    }
    sodium_mprotect_readonly(memory)
  }

  deinit { sodium_free(key) }

  /// A box of the content, which opens only with the same associated data.
  public func seal(_ content: UnsafeBufferPointer<UInt8>, associatedData: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: content.count + Self.overhead) { box, count in
      let start = box.baseAddress!
      start.initialize(to: Self.format)
      (start + 1).initialize(from: id, count: Self.idLength)
      let nonce = start + Self.headerLength
      randombytes_buf(nonce, Self.nonceLength)
      crypto_aead_xchacha20poly1305_ietf_encrypt(
        nonce + Self.nonceLength, nil, content.baseAddress, UInt64(content.count), associatedData,
        UInt64(associatedData.count), nil, nonce, key)
      count = content.count + Self.overhead
    }
  }

  /// The number of bytes in a box; nil if it is too short to be one.
  public static func contentLength(ofBox box: [UInt8]) -> Int? {
    box.count >= overhead ? box.count - overhead : nil
  }

  /// Writes the box's content to the whole buffer, which has `contentLength` bytes. False, with an empty or zeroed
  /// buffer, if the box was changed, or is of another key or other associated data.
  public func open(
    _ box: [UInt8], associatedData: [UInt8], into content: UnsafeMutableBufferPointer<UInt8>
  ) -> Bool {
    guard Self.contentLength(ofBox: box) == content.count, box[0] == Self.format,
      box[1..<Self.headerLength].elementsEqual(id)
    else { return false }
    return box.withUnsafeBufferPointer { box in
      let nonce = box.baseAddress! + Self.headerLength
      let sealed = nonce + Self.nonceLength
      return crypto_aead_xchacha20poly1305_ietf_decrypt(
        content.baseAddress, nil, nil, sealed, UInt64(box.count - Self.headerLength - Self.nonceLength),
        associatedData, UInt64(associatedData.count), nonce, key) == 0
    }
  }
}
