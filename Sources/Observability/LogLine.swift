internal import Encoding
internal import Glibc

/// One event as a line, while it is written. `Logger.log` passes it to a closure that adds the members of the event.
public struct LogLine {
  private(set) var bytes: [UInt8] = []
  private let format: Logger.Format

  /// Enough bytes for most lines.
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
    append(length: 3) { DecimalText.write(thousandths % 1000, to: $0) }
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

  /// A JSON string (RFC 8259, section 7), so that no value can start another line.
  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { JSONString.encode($0, escapesDelete: true) { bytes.append(contentsOf: $0) } }
    bytes.append(UInt8(ascii: "\""))
  }

  /// `2026-11-23T20:28:29.123Z`, or `20:28:29.123`.
  private mutating func append(_ time: timespec, withDate: Bool) {
    let milliseconds = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    let start = bytes.count
    append(length: RFC3339.length) { RFC3339.write(millisecondsSince1970: milliseconds, to: $0) }
    guard !withDate else { return }
    bytes.removeLast()
    bytes.removeSubrange(start..<start + "2026-11-23T".utf8.count)
  }

  /// Appends `length` bytes that `write` writes.
  private mutating func append(length: Int, _ write: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: length) { text in
      write(text)
      bytes.append(contentsOf: text)
    }
  }
}
