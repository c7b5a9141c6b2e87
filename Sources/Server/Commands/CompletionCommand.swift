internal import Commands

/// Prints a script that a shell runs to complete commands.
enum CompletionCommand {
  static let row = CommandRow(
    nil, Command.completion.summary,
    arguments: [Argument("SHELL", "the shell", value: .oneOf(Shell.allCases.map(\.rawValue)))],
    examples: [
      "bash >~/.local/share/bash-completion/completions/device-registry",
      "zsh >/usr/local/share/zsh/site-functions/_device-registry",
      "fish >~/.config/fish/completions/device-registry.fish",
    ])

  static func run(_ arguments: [String]) throws(UsageError) {
    let table = CommandTable(program: "device-registry", subjects: CommandLineInterface.subjects)
    switch try table.parse([Command.completion.rawValue] + arguments, environment: [:]) {
    case .help(let text): print(text)
    case .command(_, _, let parsed):
      guard let shell = parsed.words.first.flatMap(Shell.init) else { return }
      print(table.completion(for: shell), terminator: "")
    }
  }
}
