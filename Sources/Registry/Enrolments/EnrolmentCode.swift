public import Encoding

/// A code with which a terminal gets a device's secret: 128 random bits in base32, in groups of four characters. It
/// works once, and only its hash is stored.
///
/// The memory is wiped when the last reference is released.
public struct EnrolmentCode: Redacted, Sendable {
  /// The number of random bytes of a code.
  public static let randomLength = 16
  /// The number of characters of the text: the groups, with hyphens between.
  public static let textLength = 32
  /// Characters of a presented code, with hyphens and blanks.
  public static let maximumTextLength = 64

  private static let groupLength = 4

  private let bytes: SecretBytes

  /// Takes the random source's next 16 bytes.
  init(random: some RandomSource) {
    bytes = SecretBytes(count: Self.randomLength) { bytes in
      SecretBytes.withRandomBytes(Self.randomLength, from: random) { _ = bytes.update(fromContentsOf: $0) }
    }
  }

  /// A code that a terminal presents, in either case. Hyphens and blanks do not count. Nil for what is no code.
  public init?(presented text: String) {
    guard text.utf8.count <= Self.maximumTextLength else { return nil }
    let characters = text.utf8.lazy.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: " ") }
    var isCode = false
    bytes = SecretBytes(count: Self.randomLength) { isCode = Base32.decode(characters, into: $0) }
    guard isCode else { return nil }
  }

  /// Passes the text to the closure, and wipes it afterwards.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    let length = Base32.encodedLength(Self.randomLength)
    let plain = SecretBytes(count: length) { text in bytes.withBytes { Base32.encode($0, into: text) } }
    let grouped = SecretBytes(count: Self.textLength) { text in
      plain.withBytes { plain in
        for (index, character) in plain.enumerated() {
          let hyphens = index / Self.groupLength
          if hyphens > 0, index % Self.groupLength == 0 { text[index + hyphens - 1] = UInt8(ascii: "-") }
          text[index + hyphens] = character
        }
      }
    }
    return grouped.withBytes(body)
  }
}
