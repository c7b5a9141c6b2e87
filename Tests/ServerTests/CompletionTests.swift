import Commands
import Foundation
import TestSupport
import Testing

/// `device-registry completion`, in the shells themselves.
@Suite("Completion of commands") struct CompletionTests {
  /// The path of a command, and the names of its options.
  private static let rows = OwnerCommand.subjects.flatMap { subject in
    subject.commands.map { command in
      (
        path: [subject.name, command.name].compactMap(\.self).joined(separator: " "),
        options: Set(command.options.map(\.name) + ["--help"])
      )
    }
  }

  /// The candidates for each line, which a shell's script prints: `@` and the line, then a candidate per line.
  private func candidates(_ shell: String, _ lines: [String]) async throws -> [String: Set<String>] {
    let script =
      switch shell {
      case "bash":
        """
        source <("$0" completion bash)
        for line in "$@"; do
          echo "@$line"
          read -r -a COMP_WORDS <<<"$line"; case "$line" in *" ") COMP_WORDS+=('') ;; esac
          COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _device_registry 2>/dev/null
          printf '%s\\n' "${COMPREPLY[@]}"
        done
        """
      default:
        """
        $argv[1] completion fish | source
        for line in $argv[2..]
          echo "@$line"
          complete -C "$line"
        end
        """
      }
    let command =
      shell == "bash" ? ["bash", "-c", script, Program.built] : ["fish", "-N", "-c", script, Program.built]
    let result = try await Program.run(
      Array(command.dropFirst()) + lines, ["PATH=/usr/bin:/bin", "HOME=\(TemporaryDirectory().path)"],
      executable: "/usr/bin/\(shell)")
    #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
    var found: [String: Set<String>] = [:]
    for block in result.output.split(separator: "@").map({ $0.split(separator: "\n").map(String.init) }) {
      found[block[0]] = Set(block.dropFirst().map { String($0.split(separator: "\t")[0]) })
    }
    return found
  }

  @Test(arguments: ["bash", "fish"])
  func `The shell completes each command and each of its options`(shell: String) async throws {
    let subjects = OwnerCommand.subjects
    let lines =
      ["device-registry "] + subjects.map { "device-registry \($0.name) " }
      + Self.rows.map { "device-registry \($0.path) --" }
    let found = try await candidates(shell, lines)
    #expect(found["device-registry "]?.isSuperset(of: subjects.map(\.name) + ["serve", "completion"]) == true)
    // After a subject that is a command, a shell completes its options.
    for subject in subjects where subject.commands.allSatisfy({ $0.name != nil }) {
      let names = Set(subject.commands.compactMap(\.name))
      #expect(found["device-registry \(subject.name) "]?.subtracting(["--help"]) == names)
    }
    for row in Self.rows { #expect(found["device-registry \(row.path) --"] == row.options, "\(row.path)") }
  }

  @Test(arguments: ["bash", "fish"])
  func `The shell completes values, files and shells`(shell: String) async throws {
    let directory = TemporaryDirectory()
    try Data().write(to: URL(fileURLWithPath: "\(directory.path)/token-of-alice"))
    let file = "device-registry devices list --token-file \(directory.path)/tok"
    let found = try await candidates(
      shell,
      [
        "device-registry devices list --output ", "device-registry devices list --output j",
        "device-registry events follow --output ", "device-registry completion ", "device-registry dev", file,
        "device-registry devices list --url ",
      ])
    #expect(found["device-registry devices list --output "] == ["table", "json", "csv", "ids"])
    #expect(found["device-registry devices list --output j"] == ["json"])
    #expect(found["device-registry events follow --output "] == ["text", "json"])
    #expect(found["device-registry completion "]?.subtracting(["--help"]) == ["bash", "zsh", "fish"])
    #expect(found["device-registry dev"] == ["device", "devices"])
    #expect(found[file] == ["\(directory.path)/token-of-alice"])
    #expect(found["device-registry devices list --url "] == [])
  }

  /// What is typed before Tab, and what the line is then.
  @Test(arguments: [
    ("bash", "device-registry web", "device-registry webhook"),
    ("bash", "device-registry devices li", "device-registry devices list "),
    ("bash", "device-registry devices list --outp", "device-registry devices list --output "),
    ("bash", "device-registry devices list --output=js", "device-registry devices list --output=json "),
    ("zsh", "device-registry sig", "device-registry signals "),
    ("zsh", "device-registry devices li", "device-registry devices list "),
    ("zsh", "device-registry devices list --outp", "device-registry devices list --output"),
    ("zsh", "device-registry devices list --output js", "device-registry devices list --output json "),
    ("zsh", "device-registry devices list --output=js", "device-registry devices list --output=json "),
    ("zsh", "device-registry completion fi", "device-registry completion fish "),
    (
      "zsh", "device-registry devices list --token-file /etc/host",
      "device-registry devices list --token-file /etc/host"
    ),
  ])
  func `Tab completes what was typed`(shell: String, typed: String, completed: String) async throws {
    let result = try await Program.run(
      [
        "\(#filePath.prefix(through: #filePath.lastIndex(of: "/")!))terminal.py", "shell", shell, Program.built,
        typed,
      ],
      ["PATH=/usr/bin:/bin", "TERM=dumb", "HOME=\(TemporaryDirectory().path)"], executable: "/usr/bin/python3")
    #expect(result.status == 0, "\(result.errors)")
    // `echo` prints the line without the space at its end.
    let line = "@" + completed.trimmingCharacters(in: .whitespaces)
    #expect(result.output.contains(line), "\(result.output)")
  }

  @Test func `zsh lists the options of a command with their meaning`() async throws {
    let result = try await Program.run(
      [
        "\(#filePath.prefix(through: #filePath.lastIndex(of: "/")!))terminal.py", "shell", "zsh", Program.built,
        "device-registry devices revoke --",
      ], ["PATH=/usr/bin:/bin", "TERM=dumb", "HOME=\(TemporaryDirectory().path)"],
      executable: "/usr/bin/python3")
    for option in ["--reason", "--yes", "--token-file", "--help"] { #expect(result.output.contains(option)) }
    #expect(result.output.contains("do not ask"), "\(result.output)")
  }
}

@Suite("The table of commands") struct CommandTableTests {
  @Test func `Each example in --help is a valid command line`() throws {
    for subject in OwnerCommand.subjects {
      for command in subject.commands {
        for example in command.examples {
          let path = [subject.name, command.name].compactMap(\.self)
          let words = path + Self.words(of: example)
          do {
            guard
              case .command(let found, _) = try OwnerCommand.parse(
                words, environment: ["DEVICE_REGISTRY_TOKEN_FILE": "token"])
            else { throw UsageError("is help") }
            #expect(found.rawValue == path.joined(separator: " "))
          } catch {
            Issue.record("\(words): \(error)")
          }
        }
      }
    }
  }

  /// The words of a shell's line with single quotes.
  static func words(of line: String) -> [String] {
    var words: [String] = []
    var word: String?
    var isQuoted = false
    for character in line {
      switch character {
      case "'":
        isQuoted.toggle()
        word = word ?? ""
      case " " where !isQuoted:
        if let word { words.append(word) }
        word = nil
      default: word = (word ?? "") + String(character)
      }
    }
    return words + (word.map { [$0] } ?? [])
  }

  @Test func `Each command has a summary, an example, and options whose meaning is given`() {
    for subject in OwnerCommand.subjects {
      for command in subject.commands {
        #expect(!command.summary.isEmpty && !command.summary.hasSuffix(".") && !command.examples.isEmpty)
        #expect(Set(command.options.map(\.name)).count == command.options.count)
        for option in command.options {
          #expect(option.name.hasPrefix("--") && !option.meaning.isEmpty, "\(option.name)")
        }
      }
    }
  }

  private func parse(_ words: String...) throws(UsageError) -> ParsedArguments? {
    guard
      case .command(_, let arguments) = try OwnerCommand.parse(words, environment: ["DEVICE_REGISTRY_URL": "u"])
    else { return nil }
    return arguments
  }

  @Test func `Options stand anywhere, have their value after a space or an equals sign, and end at two dashes`()
    throws
  {
    let arguments = try #require(
      try parse("devices", "revoke", "a", "--token-file=t=1", "--yes", "--reason", "-x", "--", "--all", "-"))
    #expect(arguments.words == ["a", "--all", "-"])
    #expect(arguments[.tokenFile] == "t=1" && arguments[.reason] == "-x" && arguments.has(.yes))
    #expect(arguments[.url] == "u" && arguments[.caFile] == nil)
  }
}
