internal import Glibc

/// One event as a line, as far as it is written. `Logger.log` lends it, to add what belongs to the event.
public struct LogLine {
  private(set) var bytes: [UInt8] = []
  private let format: Logger.Format

  /// Bytes that most lines do with.
  private static let usualLength = 384

  /// In JSON a line begins `{"time":"2026-11-23T20:28:29.123Z","level":"info","event":"listening"`, and as text
  /// `20:28:29.123 info listening`.
  init(_ level: Logger.Level, _ event: StaticString, at time: timespec, format: Logger.Format) {
    self.format = format
    bytes.reserveCapacity(Self.usualLength)
    switch format {
    case .json:
      append(#"{"time":""#)
      append(time, withDate: true)
      append(#"","level":""#)
      append(level.rawValue)
      append(#"","event":"#)
      quote(event)
    case .text:
      append(time, withDate: false)
      append(" ")
      append(level.rawValue)
      append(" ")
      append(event)
    }
  }

  /// `,"address":"127.0.0.1:8000"`, or ` address="127.0.0.1:8000"`.
  public mutating func add(_ name: StaticString, _ text: String) {
    add(name)
    quote(text)
  }

  /// `,"status":200`, or ` status=200`.
  public mutating func add(_ name: StaticString, _ number: Int) {
    add(name)
    append(String(number))
  }

  /// `,"duration_ms":1.042`: thousandths of the name's unit.
  public mutating func add(_ name: StaticString, thousandths: UInt64) {
    add(name)
    append(String(thousandths / 1000))
    append(".")
    append(digits: Int(thousandths % 1000), 3)
  }

  /// The line, and its end.
  consuming func finished() -> [UInt8] {
    append(format == .json ? "}\n" : "\n")
    return bytes
  }

  // MARK: Pieces

  private mutating func add(_ name: StaticString) {
    switch format {
    case .json:
      append(",")
      quote(name)
      append(":")
    case .text:
      append(" ")
      append(name)
      append("=")
    }
  }

  private mutating func append(_ literal: StaticString) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
  }

  private mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { bytes.append(contentsOf: $0) }
  }

  private mutating func quote(_ literal: StaticString) {
    append("\"")
    append(literal)
    append("\"")
  }

  /// A JSON string (RFC 8259, section 7), so that no value can begin a line of its own.
  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { text in
      if text.allSatisfy(Self.standsForItself) {
        bytes.append(contentsOf: text)
      } else {
        for byte in text { escape(byte) }
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private static func standsForItself(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }

  private mutating func escape(_ byte: UInt8) {
    guard !Self.standsForItself(byte) else { return bytes.append(byte) }
    append("\\")
    if byte < 0x20 || byte == 0x7F {
      append("u00")
      append(byte < 0x10 ? "0" : "")
      append(String(byte, radix: 16))
    } else {
      bytes.append(byte)
    }
  }

  /// `2026-11-23T20:28:29.123Z`, or `20:28:29.123`.
  private mutating func append(_ time: timespec, withDate: Bool) {
    var seconds = time.tv_sec
    var parts = tm()
    gmtime_r(&seconds, &parts)
    if withDate {
      append(digits: Int(parts.tm_year) + 1900, 4)
      append("-")
      append(digits: Int(parts.tm_mon) + 1, 2)
      append("-")
      append(digits: Int(parts.tm_mday), 2)
      append("T")
    }
    append(digits: Int(parts.tm_hour), 2)
    append(":")
    append(digits: Int(parts.tm_min), 2)
    append(":")
    append(digits: Int(parts.tm_sec), 2)
    append(".")
    append(digits: Int(time.tv_nsec / 1_000_000), 3)
    if withDate { append("Z") }
  }

  /// The last `count` digits of a number that is not negative.
  private mutating func append(digits number: Int, _ count: Int) {
    var divisor = 1
    for _ in 1..<count { divisor *= 10 }
    while divisor > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
      divisor /= 10
    }
  }
}
