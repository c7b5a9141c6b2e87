internal import Glibc

/// One event as a line.
struct LogLine {
  let level: Logger.Level
  let event: StaticString
  let fields: KeyValuePairs<StaticString, String>
  let time: timespec

  /// `{"time":"2026-11-23T20:28:29.123Z","level":"info","event":"listening","address":"127.0.0.1:8000"}`
  var json: [UInt8] {
    var line: [UInt8] = []
    line += #"{"time":""#.utf8
    line += timeText.utf8
    line += #"","level":""#.utf8
    line += level.rawValue.utf8
    line += #"","event":"#.utf8
    Self.quote(event.description, into: &line)
    for (name, value) in fields {
      line += ",".utf8
      Self.quote(name.description, into: &line)
      line += ":".utf8
      Self.quote(value, into: &line)
    }
    line += "}\n".utf8
    return line
  }

  /// `20:28:29.123 info listening address="127.0.0.1:8000"`
  var text: [UInt8] {
    var line = Array(timeText.utf8.dropFirst(11).prefix(12))
    line += " \(level.rawValue) \(event)".utf8
    for (name, value) in fields {
      line += " \(name)=".utf8
      Self.quote(value, into: &line)
    }
    line += "\n".utf8
    return line
  }

  /// A JSON string (RFC 8259, section 7), so that no value can begin a line of its own.
  private static func quote(_ text: String, into line: inout [UInt8]) {
    line.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): line += [UInt8(ascii: "\\"), byte]
      case 0..<0x20, 0x7F: line += "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8
      default: line.append(byte)
      }
    }
    line.append(UInt8(ascii: "\""))
  }

  private var timeText: String {
    var seconds = time.tv_sec
    var parts = tm()
    gmtime_r(&seconds, &parts)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
      strftime(buffer.baseAddress!, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
      let milliseconds = String(1000 + time.tv_nsec / 1_000_000).dropFirst()
      return String(cString: buffer.baseAddress!) + "." + milliseconds + "Z"
    }
  }
}
