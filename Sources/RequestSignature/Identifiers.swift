internal import Encoding

/// A value that makes each signed request of a device unique.
public enum Nonce {
  /// Characters of a nonce.
  public static let lengths = 8...64

  /// Whether the length is allowed and each character is one of `A-Z a-z 0-9 - _`.
  public static func isWellFormed(_ nonce: String) -> Bool {
    lengths.contains(nonce.utf8.count)
      && nonce.utf8.allSatisfy {
        $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
      }
  }
}

/// The `keyid` of a device: its id, a UUID.
enum KeyID {
  static func isWellFormed(_ text: some Collection<UInt8>) -> Bool { UUIDText.read(text) != nil }
}
