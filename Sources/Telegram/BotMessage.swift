internal import Encoding

/// A message of the bot: HTML ("HTML style"), and rows of buttons below.
struct BotMessage: Hashable, Sendable {
  let html: String
  var buttons: [[Button]] = []

  struct Button: Hashable, Sendable {
    /// Plain text.
    let label: String
    /// What a press sends back: at most 64 bytes ("InlineKeyboardButton").
    let data: String
  }

  init(_ html: String, buttons: [[Button]] = []) {
    self.html = html
    self.buttons = buttons
  }

  /// The parameters of the methods that send and edit messages.
  var members: BotAPI.JSONMembers {
    let rows = buttons.map { row in
      let buttons = row.map {
        #"{"text":\#(JSONString.quoted($0.label)),"callback_data":\#(JSONString.quoted($0.data))}"#
      }
      return "[\(buttons.joined(separator: ","))]"
    }
    return [
      ("text", JSONString.quoted(html)), ("parse_mode", #""HTML""#),
      ("link_preview_options", #"{"is_disabled":true}"#),
      ("reply_markup", #"{"inline_keyboard":[\#(rows.joined(separator: ","))]}"#),
    ]
  }
}

/// Text that strangers chose: names of devices and groups. No name has invisible characters (`DeviceName`).
enum Foreign {
  /// Characters of a name on a button.
  static let maximumLabelLength = 40

  /// As `<code>`, in which Telegram makes no links, mentions or commands; isolated, so that a name that is written from
  /// right to left does not move what follows (Unicode Standard Annex 9, section 2.4).
  static func html(_ text: String) -> String {
    let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    return "\u{2068}<code>\(escaped)</code>\u{2069}"
  }

  static func label(_ text: String) -> String {
    text.count > maximumLabelLength ? text.prefix(maximumLabelLength - 1) + "…" : text
  }
}
