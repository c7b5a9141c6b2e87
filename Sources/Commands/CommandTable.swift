/// A program's command line as a table, from which arguments are parsed, help is printed and completion is generated.
public struct CommandTable: Sendable {
  /// The name that users type.
  public let program: String
  public let subjects: [Subject]

  public init(program: String, subjects: [Subject]) {
    self.program = program
    self.subjects = subjects
  }
}

/// The first word after the program: commands on the same subject, or a single command that has no other name.
public struct Subject: Sendable {
  public let name: String
  public let summary: String
  /// Sentences of `--help`.
  public let details: String
  public let commands: [CommandRow]

  public init(_ name: String, _ summary: String, details: String = "", commands: [CommandRow]) {
    self.name = name
    self.summary = summary
    self.details = details
    self.commands = commands
  }
}

/// One command: a row of the table.
public struct CommandRow: Sendable {
  /// The second word; nil if the subject is the command.
  public let name: String?
  /// What it does, in one line without a full stop.
  public let summary: String
  /// Further sentences of `--help`.
  public let details: String
  public let arguments: [Argument]
  public let options: [Option]
  /// Options of which at most one may be given.
  public let alternatives: [[Option]]
  /// Arguments and options after the command's name.
  public let examples: [String]

  public init(
    _ name: String?, _ summary: String, details: String = "", arguments: [Argument] = [],
    options: [Option] = [], alternatives: [[Option]] = [], examples: [String] = []
  ) {
    self.name = name
    self.summary = summary
    self.details = details
    self.arguments = arguments
    self.options = options
    self.alternatives = alternatives
    self.examples = examples
  }
}

/// Words after a command.
public struct Argument: Hashable, Sendable {
  /// In upper case.
  public let name: String
  public let meaning: String
  public let value: Value
  public let isRequired: Bool
  public let isRepeatable: Bool

  public init(
    _ name: String, _ meaning: String, value: Value = .text, isRequired: Bool = true, isRepeatable: Bool = false
  ) {
    self.name = name
    self.meaning = meaning
    self.value = value
    self.isRequired = isRequired
    self.isRepeatable = isRepeatable
  }

  /// As usage has it.
  var usage: String {
    let text = isRepeatable ? name + "..." : name
    return isRequired ? text : "[\(text)]"
  }
}

/// A word that begins with two dashes.
public struct Option: Hashable, Sendable {
  /// With the dashes.
  public let name: String
  /// What follows it, in upper case; nil for a switch, which nothing follows.
  public let placeholder: String?
  public let meaning: String
  public let value: Value
  /// The environment variable that has the value if the option is not given. Empty counts as unset.
  public let variable: String?
  public let isRequired: Bool
  public let isRepeatable: Bool

  /// An option with a value.
  public init(
    _ name: String, _ placeholder: String, _ meaning: String, value: Value = .text, variable: String? = nil,
    isRequired: Bool = false, isRepeatable: Bool = false
  ) {
    self.name = name
    self.placeholder = placeholder
    self.meaning = meaning
    self.value = value
    self.variable = variable
    self.isRequired = isRequired
    self.isRepeatable = isRepeatable
  }

  /// A switch.
  public init(switch name: String, _ meaning: String) {
    self.name = name
    placeholder = nil
    self.meaning = meaning
    value = .text
    variable = nil
    isRequired = false
    isRepeatable = false
  }

  public var takesValue: Bool { placeholder != nil }
}

/// What a value may be.
public enum Value: Hashable, Sendable {
  /// Any text that is not empty.
  case text
  case file
  case number(ClosedRange<Int>)
  case oneOf([String])
  /// Words of a list, separated by commas.
  case someOf([String])
}

/// A wrong argument or setting. The description says what is wrong; it repeats no word that may be a secret.
public struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  /// The setting that is wrong; nil if it is an argument.
  public let setting: String?

  public init(_ description: String, setting: String? = nil) {
    (self.description, self.setting) = (description, setting)
  }
}
