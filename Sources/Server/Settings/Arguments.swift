internal import Commands

/// The arguments after a command, split into `--flag value`, `--flag=value` and plain words.
struct Arguments {
  private(set) var words: [String] = []
  private var values: [String: String] = [:]
  private var environment: [String: String]

  /// - Parameters:
  ///   - flags: flags that take a value.
  ///   - switches: flags that take none.
  init(
    _ arguments: [String], flags: [String], switches: [String] = [], environment: [String: String]
  ) throws(UsageError) {
    self.environment = environment
    var rest = arguments[...]
    while let word = rest.popFirst() {
      guard word.hasPrefix("-"), word != "-", word != "--" else {
        words.append(word)
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let flag = parts[0]
      guard values[flag] == nil else { throw UsageError("\(flag) is given twice") }
      if switches.contains(flag) {
        guard parts.count == 1 else { throw UsageError("\(flag) takes no value") }
        values[flag] = ""
      } else if flags.contains(flag) {
        guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
          throw UsageError("\(flag) needs a value")
        }
        values[flag] = value
      } else {
        throw UsageError("Unknown option \(flag); see --help")
      }
    }
  }

  /// Leaves a setting at its default.
  mutating func unset(_ setting: Setting) {
    values[setting.flag] = nil
    environment[setting.rawValue] = nil
  }

  /// Whether the user set it.
  func isSet(_ setting: Setting) -> Bool {
    values[setting.flag] != nil
      || environment[setting.rawValue].map { !$0.isEmpty || setting.emptyCounts } ?? false
  }

  /// Whether a switch is given.
  func has(_ flag: String) -> Bool { values[flag] != nil }

  /// The value of a flag.
  func value(of flag: String) -> String? { values[flag] }

  /// The value of a setting: of the flag, else of the environment variable, else the default. An empty variable
  /// counts as unset, unless `emptyCounts`.
  func value(of setting: Setting) -> String? {
    if let value = values[setting.flag] { return value }
    if let value = environment[setting.rawValue], !value.isEmpty || setting.emptyCounts { return value }
    return setting.declaration.defaultText
  }

  /// A whole number within the setting's bounds.
  func number(of setting: Setting, default computed: Int = 0) throws(UsageError) -> Int {
    guard let text = value(of: setting) else { return computed }
    let bounds = setting.declaration.bounds ?? 0...Int.max
    guard let number = Int(text), bounds.contains(number) else {
      throw UsageError(setting, "must be a whole number from \(bounds.lowerBound) to \(bounds.upperBound)")
    }
    return number
  }

  /// Throws for a missing word and for surplus words.
  /// - Parameter names: the words' names in the usage.
  func expectWords(_ names: [String] = [], usage: String) throws(UsageError) {
    guard words.count >= names.count else {
      throw UsageError("missing argument \(names[words.count]); usage: \(usage)")
    }
    // The message does not repeat the word, which may be a secret.
    guard words.count == names.count else {
      throw UsageError("there is one argument too many; usage: \(usage)")
    }
  }
}
