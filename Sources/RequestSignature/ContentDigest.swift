internal import Crypto
internal import Encoding

/// `Content-Digest` (RFC 9530, section 2) with `sha-256`. Other algorithms are ignored.
public enum ContentDigest {
  /// The field's value for a body: `sha-256=:...:`.
  public static func value(of body: [UInt8]) -> String {
    TextWriter.string(capacity: valueLength) { value in
      value.append("sha-256=:")
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: SHA256.length) { hash in
        body.withUnsafeBufferPointer { SHA256.hash($0, into: hash) }
        value.append(base64: UnsafeBufferPointer(hash))
      }
      value.append(":")
    }
  }

  /// Bytes of the field's value.
  static let valueLength = "sha-256=::".utf8.count + Base64.encodedLength(SHA256.length)

  /// The `sha-256` of a field; nil if the field is absent. Throws if it is malformed or has no `sha-256`.
  static func sha256(_ bytes: [UInt8]?) throws(Malformation) -> [UInt8]? {
    guard let bytes else { return nil }
    let dictionary: StructuredDictionary
    do { dictionary = try StructuredDictionary(bytes) } catch { throw .field("Content-Digest", error) }
    guard case .item(.byteSequence(let digest)) = dictionary.member("sha-256".utf8)?.value else {
      throw .digestMissing
    }
    return dictionary.decoded(digest)
  }

  /// Whether this is the body's digest. Compares in constant time.
  static func isDigest(_ digest: [UInt8], of body: [UInt8]) -> Bool {
    constantTimeEquals(digest, SHA256.hash(body))
  }
}
