import Foundation
import Glibc

/// Standard output, standard error and standard input.
enum Terminal {
  /// Prints a line with fields, which are separated by tabs. Characters that could control a terminal are removed.
  static func printFields(_ fields: [String]) throws(Failure) {
    try print(Data(fields.map(withoutControls).joined(separator: "\t").utf8))
  }

  static func withoutControls(_ text: String) -> String {
    String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) })
  }

  /// Prints a line. Text in JSON has no control characters except line breaks between its parts, which are removed.
  static func print(_ text: Data) throws(Failure) {
    try print(
      bytes: text.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") } + [UInt8(ascii: "\n")])
  }

  /// Prints text and a line break.
  static func print(lines: String) throws(Failure) { try print(bytes: Array((lines + "\n").utf8)) }

  static func print(bytes: some Sequence<UInt8>) throws(Failure) {
    guard write(Array(bytes), to: STDOUT_FILENO) else {
      throw Failure("cannot write to standard output: \(String(cString: strerror(errno)))")
    }
  }

  /// Writes a line to standard error.
  static func say(_ text: String) { _ = write(Array("device-registry: \(text)\n".utf8), to: STDERR_FILENO) }

  /// Whether a person can be asked.
  static var canAsk: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

  /// Asks on standard error and reads a line.
  static func ask(_ question: String) -> String? {
    _ = write(Array(withoutControls(question).utf8), to: STDERR_FILENO)
    return readLine()
  }

  /// False if not all bytes can be written; then `errno` says why.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { bytes in
      var written = 0
      while written < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        written += count
      }
      return true
    }
  }
}

/// What standard output can show.
struct Screen {
  /// Columns; nil if it is no terminal.
  let width: Int?
  let hasColor: Bool

  /// - Parameter environment: `NO_COLOR` turns colours off (no-color.org).
  init(_ environment: [String: String]) {
    guard isatty(STDOUT_FILENO) == 1 else {
      (width, hasColor) = (nil, false)
      return
    }
    var size = winsize()
    let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    width = isKnown ? Int(size.ws_col) : environment["COLUMNS"].flatMap { Int($0) } ?? Self.defaultWidth
    hasColor = (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
  }

  private static let defaultWidth = 80
}

/// The width of text on a terminal.
extension String {
  var width: Int { unicodeScalars.reduce(0) { $0 + $1.width } }

  /// The text, or its beginning and `…`, in at most this many columns.
  func shortened(to maximum: Int) -> String {
    guard width > maximum else { return self }
    var (short, columns) = ("", 0)
    for character in self {
      let width = String(character).width
      guard columns + width < maximum else { break }
      short.append(character)
      columns += width
    }
    return short + "…"
  }
}

extension Unicode.Scalar {
  fileprivate var width: Int {
    switch properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: 0
    default: properties.isEmojiPresentation || Self.wide.contains { $0.contains(value) } ? 2 : 1
    }
  }

  /// What takes two columns, beside emoji (Unicode Standard Annex 11).
  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
    0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD,
  ]
}
