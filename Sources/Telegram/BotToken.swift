public import Encoding

/// The token of a bot: its user id, a colon, and a secret (https://core.telegram.org/bots/api, "Authorizing your bot").
///
/// It is in the path of every request, so no URL of the Bot API may reach a log.
public struct BotToken: Redacted, Sendable {
  /// The bot's user id, which is no secret.
  public let botID: Int64
  private let text: String

  /// Characters of the secret.
  static let secretLength = 20...128

  /// Nil for a text of another form.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let id = DecimalText.read(parts[0], in: 1...Int.max),
      Self.secretLength.contains(parts[1].utf8.count),
      parts[1].utf8.allSatisfy({ $0.isLetter || $0.isDigit || "-_".utf8.contains($0) })
    else { return nil }
    botID = Int64(id)
    self.text = text
  }

  /// The path of a method.
  func path(of method: String) -> String { "/bot\(text)/\(method)" }

  /// The text without the token, where a server repeats it.
  func removed(from other: String) -> String {
    var rest = other[...]
    var cleaned = ""
    // Each step removes one, so the text's length bounds their number.
    while let range = rest.firstRange(of: text) {
      cleaned += rest[..<range.lowerBound] + "<redacted>"
      rest = rest[range.upperBound...]
    }
    return cleaned + rest
  }
}
