/// Shells for which completion is generated.
public enum Shell: String, CaseIterable, Sendable {
  case bash, zsh, fish
}

extension CommandTable {
  /// A script that makes the shell complete the program's commands, options and values.
  public func completion(for shell: Shell) -> String {
    switch shell {
    case .bash: bashCompletion()
    case .zsh: zshCompletion()
    case .fish: fishCompletion()
    }
  }

  fileprivate var function: String { "_" + program.replacing("-", with: "_") }
}

extension CommandRow {
  /// The options that every command has, and its own.
  fileprivate var completed: [Option] { options + [Option(switch: "--help", "describes the command")] }
}

extension String {
  /// In single quotes, for bash and zsh.
  fileprivate var quoted: String { "'" + replacing("'", with: #"'\''"#) + "'" }

  fileprivate func indented(_ spaces: Int) -> String {
    let indent = String(repeating: " ", count: spaces)
    return split(separator: "\n", omittingEmptySubsequences: false).map { indent + $0 }.joined(separator: "\n")
  }
}

// MARK: - bash

extension CommandTable {
  fileprivate func bashCompletion() -> String {
    let subjects = subjects.flatMap { subject in
      subject.commands.map { command in
        Self.bashCase(command, at: [subject.name, command.name].compactMap(\.self))
      }
        + (subject.single == nil
          ? ["\(subject.name.quoted)) words=\((subject.commands.compactMap(\.name) + ["--help"]).spaced) ;;"]
          : [])
    }
    return """
      # Completion of \(program) in bash:  source <(\(program) completion bash)
      \(function)() {
        local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
        local at=${COMP_WORDS[1]} words= value= prefix=
        # bash splits --option=value at the equals sign.
        if [ "$current" = = ]; then current=; elif [ "$previous" = = ]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi
        [ "$COMP_CWORD" -gt 1 ] || at=
        [ "$COMP_CWORD" -lt 3 ] || at="$at ${COMP_WORDS[2]}"
        COMPREPLY=()
        case "$at" in
          '') words=\((self.subjects.map(\.name) + ["--help", "--version"]).spaced) ;;
      \(subjects.joined(separator: "\n").indented(4))
        esac
        case "$value" in
          file)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return ;;
          list) case "$current" in *,*) prefix=${current%,*}, ;; esac ;;
        esac
        mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$words" -- "${current#"$prefix"}")
      }
      complete -F \(function) \(program)

      """
  }

  private static func bashCase(_ command: CommandRow, at path: [String]) -> String {
    let key = path.joined(separator: " ").quoted
    let single = path.count == 1 ? "|\"\(path[0]) \"*" : ""
    let cases = command.options.filter(\.takesValue).map { option in
      switch option.value {
      case .file: "\(option.name)) value=file ;;"
      case .oneOf(let words): "\(option.name)) words=\(words.spaced) ;;"
      case .someOf(let words): "\(option.name)) value=list words=\(words.spaced) ;;"
      case .text, .number: "\(option.name)) ;;"
      }
    }
    let options = "words=\(command.completed.map(\.name).spaced)"
    let other =
      switch command.arguments.last?.value {
      case .file: "case \"$current\" in -*) \(options) ;; *) value=file ;; esac"
      case .oneOf(let words): "case \"$current\" in -*) \(options) ;; *) words=\(words.spaced) ;; esac"
      case .text, .number, .someOf, nil: options
      }
    return """
      \(key)\(single))
        case "$previous" in
      \((cases + ["*) \(other) ;;"]).joined(separator: "\n").indented(4))
        esac ;;
      """
  }
}

extension [String] {
  fileprivate var spaced: String { joined(separator: " ").quoted }
}

// MARK: - zsh

extension CommandTable {
  fileprivate func zshCompletion() -> String {
    let subjects = subjects.map { subject in
      if let command = subject.single {
        return """
          \(subject.name.quoted))
            shift words; (( CURRENT -= 1 ))
          \(Self.zshArguments(command).indented(2)) ;;
          """
      }
      let cases = subject.commands.map { command in
        "\((command.name ?? "").quoted))\n\(Self.zshArguments(command).indented(2)) ;;"
      }
      return """
        \(subject.name.quoted))
          if (( CURRENT == 3 )); then
            commands=(\(subject.commands.map { Self.zshRow($0.name ?? "", $0.summary) }.joined(separator: " ")))
            _describe command commands
            return
          fi
          shift 2 words; (( CURRENT -= 2 ))
          case "$words[1]" in
        \(cases.joined(separator: "\n").indented(4))
          esac ;;
        """
    }
    return """
      #compdef \(program)
      # Completion of \(program) in zsh, as a file _\(program) in a folder of fpath, or:  source <(\(program) completion zsh)
      \(function)() {
        local -a commands
        if (( CURRENT == 2 )); then
          commands=(\(self.subjects.map { Self.zshRow($0.name, $0.summary) }.joined(separator: " ")))
          _describe command commands
          return
        fi
        case "$words[2]" in
      \(subjects.joined(separator: "\n").indented(4))
        esac
      }
      if [ "$funcstack[1]" = \("_\(program)".quoted) ]; then
        \(function) "$@"
      else
        compdef \(function) \(program)
      fi

      """
  }

  private static func zshRow(_ name: String, _ summary: String) -> String {
    "\(name):\(summary.replacing(":", with: "\\:"))".quoted
  }

  /// The call of `_arguments` for a command.
  private static func zshArguments(_ command: CommandRow) -> String {
    let options = command.completed.map { option in
      let others = command.alternatives.filter { $0.contains(option) }.flatMap(\.self).map(\.name)
      let excluded = option.isRepeatable ? others.filter { $0 != option.name } : others
      let exclusion = excluded.isEmpty ? "" : "(\(excluded.joined(separator: " ")))"
      let repetition = option.isRepeatable ? "*" : ""
      let meaning = zshEscaped(option.meaning)
      guard let placeholder = option.placeholder else {
        return "\(exclusion)\(repetition)\(option.name)[\(meaning)]".quoted
      }
      return
        "\(exclusion)\(repetition)\(option.name)=[\(meaning)]:\(zshEscaped(placeholder)):\(zshAction(option.value))"
        .quoted
    }
    let arguments = command.arguments.map { argument in
      "\(argument.isRepeatable ? "*" : ""):\(argument.name):\(zshAction(argument.value))".quoted
    }
    return "_arguments \\\n" + (options + arguments).joined(separator: " \\\n").indented(2)
  }

  private static func zshAction(_ value: Value) -> String {
    switch value {
    case .text, .number: " "
    case .file: "_files"
    case .oneOf(let words): "(\(words.joined(separator: " ")))"
    case .someOf(let words): "_sequence compadd - \(words.joined(separator: " "))"
    }
  }

  private static func zshEscaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("[", with: "\\[").replacing("]", with: "\\]")
      .replacing(":", with: "\\:")
  }
}

// MARK: - fish

extension CommandTable {
  fileprivate func fishCompletion() -> String {
    let lines = subjects.flatMap { subject in
      [fishWord(subject.name, subject.summary, after: [])]
        + subject.commands.flatMap { command -> [String] in
          let path = [subject.name, command.name].compactMap(\.self)
          let word = command.name.map { [fishWord($0, command.summary, after: [subject.name])] } ?? []
          return word + command.completed.map { fishOption($0, of: path) }
            + command.arguments.compactMap { fishArgument($0, of: path) }
        }
    }
    return """
      # Completion of \(program) in fish:  \(program) completion fish | source
      # Whether the words before the cursor are these, and no more.
      function \(function)_at
        set -l words (commandline -opc)
        test "$words[2..]" = "$argv"
      end
      # Whether the words before the cursor begin with these.
      function \(function)_in
        set -l words (commandline -opc)
        test (count $words) -gt (count $argv); and test "$words[2..$(math 1 + (count $argv))]" = "$argv"
      end
      complete -c \(program) -f
      \(lines.joined(separator: "\n"))

      """
  }

  private func fishWord(_ word: String, _ summary: String, after path: [String]) -> String {
    "complete -c \(program) -n '\(([function + "_at"] + path).joined(separator: " "))' -a \(word) -d \(summary.fishQuoted)"
  }

  private func fishOption(_ option: Option, of path: [String]) -> String {
    let value =
      if option.takesValue {
        switch option.value {
        case .text, .number: " -x"
        case .file: " -r -F"
        case .oneOf(let words): " -x -a \(words.joined(separator: " ").fishQuoted)"
        case .someOf(let words): " -x -a \("(__fish_append , \(words.joined(separator: " ")))".fishQuoted)"
        }
      } else {
        ""
      }
    return
      "complete -c \(program) -n '\(function)_in \(path.joined(separator: " "))' -l \(option.name.dropFirst(2))\(value)"
      + " -d \(option.meaning.fishQuoted)"
  }

  private func fishArgument(_ argument: Argument, of path: [String]) -> String? {
    let start = "complete -c \(program) -n '\(function)_in \(path.joined(separator: " "))'"
    switch argument.value {
    case .text, .number, .someOf: return nil
    case .file: return start + " -F"
    case .oneOf(let words): return start + " -a \(words.joined(separator: " ").fishQuoted)"
    }
  }
}

extension String {
  /// In single quotes, in which fish reads escapes.
  fileprivate var fishQuoted: String {
    "'" + replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
  }
}
