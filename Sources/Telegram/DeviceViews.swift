internal import Registry

// How devices look in a chat.

/// Writes devices at a time.
struct DeviceViews {
  let now: Timestamp
  let offlineAfterSeconds: Int

  private func mark(_ device: Device) -> String {
    guard device.state.status(at: now) == .active else { return "⚪" }
    return device.isOnline(at: now, offlineAfterSeconds: offlineAfterSeconds) ? "🟢" : "🔴"
  }

  /// One of several.
  func line(_ device: Device) -> String {
    "\(mark(device)) \(Foreign.html(device.deviceName.text)) \(summary(device))"
  }

  /// Opens the device.
  func button(_ device: Device) -> BotMessage.Button {
    BotMessage.Button(
      label: "\(mark(device)) \(Foreign.label(device.deviceName.text))", data: Press.device(device.id).data)
  }

  private func summary(_ device: Device) -> String {
    let status = device.state.status(at: now)
    return status == .active ? device.tradingMode.mode.words : status.rawValue
  }

  /// All that the chat shows of a device.
  func message(_ device: Device) -> BotMessage {
    let isOnline = device.isOnline(at: now, offlineAfterSeconds: offlineAfterSeconds)
    let mode = device.tradingMode
    var lines = [
      "\(mark(device)) \(Foreign.html(device.deviceName.text))",
      "Status: \(device.state.status(at: now).rawValue), \(isOnline ? "online" : "offline")",
      "Last seen: \(device.lastSeen.map { ago($0) } ?? "never")",
      "Mode: \(mode.mode.words), \(mode.isConfirmed ? "confirmed" : "not confirmed by the terminal")",
    ]
    if !device.groups.isEmpty {
      let shown = device.groups.prefix(Self.maximumGroups).map { Foreign.html($0.text) }
      let more = device.groups.count - shown.count
      lines.append("Groups: \(shown.joined(separator: ", "))\(more > 0 ? " and \(more) more" : "")")
    }
    guard !device.isRevoked else { return BotMessage(lines.joined(separator: "\n")) }
    let change: (String, TradingMode.Mode) = mode.mode == .halted ? ("Resume", .normal) : ("Halt", .halted)
    let button = BotMessage.Button(label: change.0, data: Press.change(change.1, device.id).data)
    return BotMessage(lines.joined(separator: "\n"), buttons: [[button]])
  }

  /// Groups of a device that are named.
  static let maximumGroups = 10

  private func ago(_ time: Timestamp) -> String {
    let seconds = max(0, (now - time) / 1000)
    switch seconds {
    case ..<60: return "\(seconds) s ago"
    case ..<3600: return "\(seconds / 60) min ago"
    case ..<86_400: return "\(seconds / 3600) h ago"
    default: return "\(seconds / 86_400) d ago"
    }
  }
}

extension TradingMode.Mode {
  var words: String {
    switch self {
    case .normal: "normal"
    case .closeOnly: "closes only"
    case .halted: "halted"
    }
  }
}

/// What a button means. Its text has at most 64 bytes.
enum Press: Hashable {
  case devices(after: DeviceCursor?)
  case device(DeviceID)
  /// Asks whether a device shall get a mode.
  case change(TradingMode.Mode, DeviceID)
  case yes(question: String)
  case no(question: String)

  var data: String {
    switch self {
    case .devices(let cursor): "list" + (cursor.map { ":\($0.createdAt.millisecondsSince1970):\($0.id)" } ?? "")
    case .device(let id): "show:\(id)"
    case .change(let mode, let id): "\(mode.rawValue):\(id)"
    case .yes(let question): "yes:\(question)"
    case .no(let question): "no:\(question)"
    }
  }

  /// Nil for what is no button of this version.
  init?(_ data: String) {
    let words = data.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    switch (words[0], words.count) {
    case ("list", 1): self = .devices(after: nil)
    case ("list", 3):
      guard let time = Int64(words[1]), let id = DeviceID(words[2]) else { return nil }
      self = .devices(after: DeviceCursor(createdAt: Timestamp(millisecondsSince1970: time), id: id))
    case ("yes", 2): self = .yes(question: words[1])
    case ("no", 2): self = .no(question: words[1])
    case ("show", 2):
      guard let id = DeviceID(words[1]) else { return nil }
      self = .device(id)
    case (let word, 2):
      guard let mode = TradingMode.Mode(rawValue: word), let id = DeviceID(words[1]) else { return nil }
      self = .change(mode, id)
    default: return nil
    }
  }
}
