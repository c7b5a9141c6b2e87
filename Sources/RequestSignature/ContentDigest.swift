internal import Crypto

/// `Content-Digest` (RFC 9530, section 2) with `sha-256`. Other algorithms are ignored.
public enum ContentDigest {
  /// The field's value for a body: `sha-256=:...:`.
  public static func value(of body: [UInt8]) -> String {
    var value = Array("sha-256=:".utf8)
    value.reserveCapacity(value.count + Base64.encodedLength(SHA256.length) + 1)
    Base64.append(SHA256.hash(body), to: &value)
    value.append(UInt8(ascii: ":"))
    return String(decoding: value, as: UTF8.self)
  }

  /// The `sha-256` of a field; nil where the field is absent. Throws where it cannot be read or has none.
  static func sha256(_ lines: [String]) throws(Malformation) -> [UInt8]? {
    guard let bytes = joinedBytes(lines) else { return nil }
    let dictionary: StructuredDictionary
    do { dictionary = try StructuredDictionary(bytes) } catch { throw .field("Content-Digest", error) }
    guard case .item(.byteSequence(let digest)) = dictionary.member("sha-256".utf8)?.value else {
      throw .digestMissing
    }
    return dictionary.decoded(digest)
  }

  /// Whether this is the body's digest; compared in constant time.
  static func isDigest(_ digest: [UInt8], of body: [UInt8]) -> Bool {
    constantTimeEquals(digest, SHA256.hash(body))
  }
}
