// What --help prints, from the table.

extension CommandTable {
  /// All commands.
  func help() -> String {
    """
    usage: \(program) COMMAND [--OPTION VALUE ...]

    \(Self.columns(subjects.map { ($0.name, $0.summary) }))

    \(program) COMMAND --help describes a command.
    """
  }

  func help(of subject: Subject) -> String {
    let details = subject.details.isEmpty ? "" : Self.wrapped(subject.details) + "\n\n"
    return """
      \(Self.sentence(subject.summary))

      \(details)usage: \(program) \(subject.name) COMMAND [--OPTION VALUE ...]

      \(Self.columns(subject.commands.map { ($0.name ?? "", $0.summary) }))

      \(program) \(subject.name) COMMAND --help describes a command, with examples.
      """
  }

  func help(of command: CommandRow, in subject: Subject) -> String {
    var parts = [Self.sentence(command.summary)]
    if !command.details.isEmpty { parts.append(Self.wrapped(command.details)) }
    parts.append("usage: \(usage(of: command, in: subject))")
    let arguments = command.arguments.map { ($0.isRepeatable ? $0.name + "..." : $0.name, $0.meaning) }
    let rows = arguments + command.options.map(Self.row)
    if !rows.isEmpty { parts.append(Self.columns(rows)) }
    if !command.examples.isEmpty {
      let lines = command.examples.map { "  \(path(of: command, in: subject)) \($0)".trimmingTrailingSpace }
      parts.append("examples:\n" + lines.joined(separator: "\n"))
    }
    return parts.joined(separator: "\n\n")
  }

  /// The words that users type before the arguments.
  func path(of command: CommandRow, in subject: Subject) -> String {
    [program, subject.name, command.name].compactMap(\.self).joined(separator: " ")
  }

  func usage(of command: CommandRow, in subject: Subject) -> String {
    let required = command.options.filter { $0.isRequired && $0.variable == nil }
      .map { "\($0.name) \($0.placeholder ?? "")" }
    let words = [path(of: command, in: subject)] + command.arguments.map(\.usage) + required
    return (words + ["[--OPTION VALUE ...]"]).joined(separator: " ")
  }

  private static func row(_ option: Option) -> (String, String) {
    let name = option.placeholder.map { "\(option.name) \($0)" } ?? option.name
    let left = option.variable.map { "\(name), \($0)" } ?? name
    switch option.value {
    case .oneOf(let words), .someOf(let words):
      return (left, option.meaning.isEmpty ? words.alternatives : "\(words.alternatives): \(option.meaning)")
    case .text, .file, .number: return (left, option.meaning)
    }
  }

  private static func sentence(_ summary: String) -> String {
    summary.prefix(1).uppercased() + summary.dropFirst() + "."
  }

  // MARK: Layout

  /// Columns of a line.
  private static let lineWidth = 118
  /// A longer left column has its line to itself.
  private static let maximumLeftWidth = 44

  /// Lines of two columns.
  static func columns(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).filter { $0 <= maximumLeftWidth }.max() ?? 0
    let indent = String(repeating: " ", count: width + 4)
    return rows.map { left, right in
      let lines = lines(right, width: lineWidth - width - 4)
      let first =
        left.count > width
        ? "  \(left)\n\(indent)" : "  " + left + String(repeating: " ", count: width - left.count + 2)
      return (first + lines.joined(separator: "\n\(indent)")).trimmingTrailingSpace
    }.joined(separator: "\n")
  }

  private static func wrapped(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { lines(String($0), width: lineWidth).joined(separator: "\n") }.joined(separator: "\n")
  }

  /// Breaks a text at spaces.
  private static func lines(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      line += line.isEmpty ? String(word) : " \(word)"
    }
    return lines + [line]
  }
}

extension String {
  fileprivate var trimmingTrailingSpace: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
