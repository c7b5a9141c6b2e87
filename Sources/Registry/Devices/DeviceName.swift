@_spi(_Unicode) import Swift

/// A device's name: normalised to NFC, trimmed of white space, 1 to 100 Unicode scalars, no control character and no
/// invisible one, with which two names could look alike.
public struct DeviceName: Hashable, Sendable, CustomStringConvertible {
  public let text: String

  public static let maximumLength = 100

  /// Throws `RegistryError.invalid` for `device_name`; the message says what is wrong.
  public init(_ text: String) throws(RegistryError) {
    let name = Self.trimmed(text)
    guard !name.isEmpty else {
      throw .invalid(field: "device_name", message: "must not be empty or blank")
    }
    // Normalisation shortens a text by `maximumExpansion` at most, so a longer text is rejected first.
    guard name.count <= Self.maximumLength * Self.maximumExpansion else { throw Self.tooLong }
    let normalised = Self.normalisedToNFC(name)
    guard normalised.unicodeScalars.count <= Self.maximumLength else { throw Self.tooLong }
    guard !normalised.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
      throw .invalid(field: "device_name", message: "must not contain control characters")
    }
    if let invisible = Self.firstInvisible(in: Array(normalised.unicodeScalars)) {
      throw .invalid(
        field: "device_name", message: "must not contain \(Self.codePoint(invisible)), which is invisible")
    }
    self.text = normalised
  }

  /// A name that a store read; it was validated when it was written.
  public init(stored text: String) {
    self.text = text
  }

  public var description: String { text }

  /// Swift compares strings by canonical equivalence, the database by bytes. A name compares by its scalars.
  public static func == (left: DeviceName, right: DeviceName) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
  }

  public func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
  }

  /// The first scalar that is not displayed: zero-width characters, controls of the writing direction and other
  /// default-ignorable code points (Unicode Standard Annex 44). Emoji need two of them: a joiner between two emoji, and
  /// a variation selector after one (Unicode Technical Standard 51).
  private static func firstInvisible(in scalars: [Unicode.Scalar]) -> Unicode.Scalar? {
    scalars.indices.first { index in
      let properties = scalars[index].properties
      guard properties.isDefaultIgnorableCodePoint || properties.isBidiControl else { return false }
      let before = scalars[..<index]
      let next = index + 1 < scalars.count ? scalars[index + 1] : nil
      switch scalars[index] {
      case "\u{FE0E}", "\u{FE0F}": return !isEmoji(before.last) && next != enclosingKeycap
      case "\u{200D}": return !isEmoji(before.last { !isEmojiSuffix($0) }) || !isEmoji(next)
      default: return true
      }
    }.map { scalars[$0] }
  }

  /// Digits are emoji only in front of this.
  private static let enclosingKeycap: Unicode.Scalar = "\u{20E3}"

  private static func isEmoji(_ scalar: Unicode.Scalar?) -> Bool {
    scalar.map { $0.properties.isEmoji && !$0.isASCII } ?? false
  }

  /// A variation selector or a skin tone.
  private static func isEmojiSuffix(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "\u{FE0E}" || scalar == "\u{FE0F}" || scalar.properties.isEmojiModifier
  }

  /// The usual notation: `U+200B`.
  private static func codePoint(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }

  private static let tooLong = RegistryError.invalid(
    field: "device_name", message: "must have at most \(maximumLength) characters")

  /// The maximum number of scalars per scalar of NFC: Unicode's longest canonical decomposition has 4.
  private static let maximumExpansion = 4

  private static func trimmed(_ text: String) -> Substring.UnicodeScalarView {
    var scalars = text.unicodeScalars[...]
    while scalars.first?.properties.isWhitespace == true { scalars.removeFirst() }
    while scalars.last?.properties.isWhitespace == true { scalars.removeLast() }
    return scalars
  }

  /// Normalization Form C (Unicode Standard Annex 15), from Swift's own tables through an interface that is not
  /// public yet. The alternatives are ICU, which the server does not link, and a C library, which the domain
  /// does not import.
  static func normalisedToNFC(_ text: Substring.UnicodeScalarView) -> String {
    var normalised = String.UnicodeScalarView()
    normalised.append(contentsOf: String(text)._nfc)
    return String(normalised)
  }
}
