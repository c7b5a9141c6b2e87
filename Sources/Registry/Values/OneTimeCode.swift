public import Encoding

/// What a code that works once is for.
public protocol CodeUse {
  /// The number of random bytes of a code.
  static var codeLength: Int { get }
}

/// A code that works once: random bits in base32, in groups of four characters. Only its hash is stored. `Use` makes each
/// kind of code a type.
///
/// The memory is wiped when the last reference is released.
public struct OneTimeCode<Use: CodeUse>: Redacted, Sendable {
  /// Characters of a group; the last one may have fewer.
  public static var groupLength: Int { 4 }
  /// The number of characters without hyphens.
  public static var plainLength: Int { Base32.encodedLength(Use.codeLength) }
  /// The number of characters of the text: the groups, with hyphens between.
  public static var textLength: Int { plainLength + (plainLength - 1) / groupLength }
  /// Characters of a presented code, with hyphens and blanks.
  public static var maximumTextLength: Int { 64 }

  private let bytes: SecretBytes

  /// Takes the random source's next bytes.
  init(random: some RandomSource) {
    bytes = SecretBytes(count: Use.codeLength) { bytes in
      SecretBytes.withRandomBytes(Use.codeLength, from: random) { _ = bytes.update(fromContentsOf: $0) }
    }
  }

  /// A code that somebody presents, in either case. Hyphens and blanks do not count. Nil for what is no code.
  public init?(presented text: String) {
    guard text.utf8.count <= Self.maximumTextLength else { return nil }
    let characters = text.utf8.lazy.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: " ") }
    var isCode = false
    bytes = SecretBytes(count: Use.codeLength) { isCode = Base32.decode(characters, into: $0) }
    guard isCode else { return nil }
  }

  /// Passes the text to the closure, and wipes it afterwards.
  public func withCharacters<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    let plain = SecretBytes(count: Self.plainLength) { text in bytes.withBytes { Base32.encode($0, into: text) }
    }
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
