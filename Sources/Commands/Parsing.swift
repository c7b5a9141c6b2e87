/// What a command line asks for.
public enum Invocation: Sendable {
  case help(String)
  case command(Subject, CommandRow, ParsedArguments)
}

/// A command's words and options, which hold what the table says about them.
public struct ParsedArguments: Sendable {
  /// The words after the command, in the order of its arguments.
  public fileprivate(set) var words: [String] = []
  fileprivate var values: [Option: [String]] = [:]

  /// Whether an option is given.
  public func has(_ option: Option) -> Bool { values[option] != nil }

  /// The option's value, else the variable's; nil without both.
  public subscript(option: Option) -> String? { values[option]?.last }

  /// The values of an option that may be repeated.
  public func all(_ option: Option) -> [String] { values[option] ?? [] }

  /// The value of an option that is a number.
  public func number(_ option: Option) -> Int? { self[option].flatMap { Int($0) } }

  /// The values between the commas of all occurrences.
  public func list(_ option: Option) -> [String] {
    all(option).flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
  }
}

extension CommandTable {
  /// Finds the command and reads its arguments. A word `--` ends the options.
  ///
  /// Throws for an unknown command or option, and for arguments that do not hold what the table says.
  public func parse(_ arguments: [String], environment: [String: String]) throws(UsageError) -> Invocation {
    let options = arguments.prefix { $0 != "--" }
    let asksForHelp = options.contains("--help") || options.contains("-h")
    guard let name = arguments.first, !name.hasPrefix("-") else {
      if asksForHelp { return .help(help()) }
      throw UsageError(
        arguments.isEmpty
          ? "missing command; \(program) --help lists the commands"
          : "the command comes first; \(program) --help lists the commands")
    }
    guard let subject = subjects.first(where: { $0.name == name }) else {
      throw UsageError("there is no command \(name); \(program) --help lists the commands")
    }
    if let command = subject.single {
      return try invocation(subject, command, arguments.dropFirst(), asksForHelp)
    }
    let names = subject.commands.compactMap(\.name)
    guard let second = arguments.dropFirst().first, !second.hasPrefix("-") else {
      if asksForHelp { return .help(help(of: subject)) }
      throw UsageError("missing argument \(names.alternatives); see \(program) \(name) --help")
    }
    guard let command = subject.commands.first(where: { $0.name == second }) else {
      if asksForHelp { return .help(help(of: subject)) }
      throw UsageError("\(program) \(name) must be followed by \(names.alternatives)")
    }
    return try invocation(subject, command, arguments.dropFirst(2), asksForHelp)

    func invocation(
      _ subject: Subject, _ command: CommandRow, _ rest: ArraySlice<String>, _ asksForHelp: Bool
    ) throws(UsageError) -> Invocation {
      guard !asksForHelp else { return .help(help(of: command, in: subject)) }
      let usage = usage(of: command, in: subject)
      return .command(subject, command, try command.parse(rest, environment: environment, usage: usage))
    }
  }
}

extension Subject {
  /// The command that the subject itself is.
  var single: CommandRow? { commands.first { $0.name == nil } }
}

extension CommandRow {
  fileprivate func parse(
    _ arguments: ArraySlice<String>, environment: [String: String], usage: String
  ) throws(UsageError) -> ParsedArguments {
    var parsed = ParsedArguments()
    var rest = arguments
    while let word = rest.popFirst() {
      guard word != "--" else {
        parsed.words += rest
        break
      }
      guard word.hasPrefix("-"), word != "-" else {
        parsed.words.append(word)
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let option = options.first(where: { $0.name == parts[0] }) else {
        // The message does not repeat the value, which may be a secret.
        throw UsageError("Unknown option \(parts[0]); see --help")
      }
      guard option.isRepeatable || !parsed.has(option) else {
        throw UsageError("\(option.name) is given twice")
      }
      guard option.takesValue else {
        guard parts.count == 1 else { throw UsageError("\(option.name) takes no value") }
        parsed.values[option] = [""]
        continue
      }
      guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
        throw UsageError("\(option.name) needs a value")
      }
      parsed.values[option, default: []].append(value)
    }
    try check(words: parsed.words, usage: usage)
    for option in options where option.takesValue {
      if parsed.values[option] == nil, let variable = option.variable, let value = environment[variable],
        !value.isEmpty
      {
        parsed.values[option] = [value]
      }
      for value in parsed.all(option) { try option.value.check(value, of: option.name) }
      guard !option.isRequired || parsed.has(option) else {
        let variable = option.variable.map { ", or \($0)" } ?? ""
        throw UsageError("missing option \(option.name)\(variable): \(option.meaning)")
      }
    }
    for group in alternatives {
      let given = group.filter(parsed.has)
      guard given.count <= 1 else {
        throw UsageError("\(given[0].name) and \(given[1].name) exclude each other")
      }
    }
    return parsed
  }

  private func check(words: [String], usage: String) throws(UsageError) {
    let required = arguments.filter(\.isRequired)
    guard words.count >= required.count else {
      throw UsageError("missing argument \(required[words.count].name); usage: \(usage)")
    }
    // The message does not repeat the word, which may be a secret.
    guard words.count <= arguments.count || arguments.last?.isRepeatable == true else {
      throw UsageError("there is one argument too many; usage: \(usage)")
    }
    for (index, word) in words.enumerated() {
      let argument = arguments[min(index, arguments.count - 1)]
      try argument.value.check(word, of: argument.name)
    }
  }
}

extension Value {
  /// Throws unless the text is such a value.
  fileprivate func check(_ text: String, of name: String) throws(UsageError) {
    guard !text.isEmpty else { throw UsageError("\(name) must not be empty") }
    switch self {
    case .text, .file: break
    case .number(let bounds):
      guard let number = Int(text), bounds.contains(number) else {
        throw UsageError(
          "\(name) must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
      }
    case .oneOf(let words):
      guard words.contains(text) else { throw UsageError("\(name) must be \(words.alternatives)") }
    case .someOf(let words):
      let given = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard given.allSatisfy(words.contains) else {
        throw UsageError("\(name) must be \(words.alternatives), or several of them separated by commas")
      }
    }
  }
}

extension [String] {
  /// `a, b or c`.
  var alternatives: String {
    count < 2 ? joined() : dropLast().joined(separator: ", ") + " or " + self[count - 1]
  }
}
