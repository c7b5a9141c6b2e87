internal import Commands
internal import EventLoop
internal import Glibc

/// The commands of `device-registry`.
enum Command: String, CaseIterable {
  case serve, migrate, status, client, token, seal, webhook, device, completion

  var summary: String {
    switch self {
    case .serve: "run the service"
    case .migrate: "bring the database schema up to date and exit"
    case .status: "print the state of the database, Redis and the running process"
    case .client: "add, list or remove clients"
    case .seal: "seal the secrets in the database, or change the key"
    case .token: "print a JWT signed with JWT_SECRET"
    case .webhook: "receive a webhook's deliveries and print them, to try it"
    case .device: "call the registry as a device: whoami, poll or ack"
    case .completion: "print a script that completes commands in bash, zsh or fish"
    }
  }

  var help: String {
    switch self {
    case .serve: ServeCommand.help
    case .migrate: MigrateCommand.help
    case .status: StatusCommand.help
    case .client: ClientCommand.help
    case .token: TokenCommand.help
    case .seal: SealCommand.help
    case .webhook: WebhookCommand.help
    case .device: DeviceCommand.help
    case .completion: ""
    }
  }

  /// For completion.
  var row: CommandRow { self == .completion ? CompletionCommand.row : CommandRow(nil, summary) }

  func run(_ arguments: [String], environment: [String: String]) async throws {
    switch self {
    case .serve: try await ServeCommand.run(arguments, environment: environment)
    case .migrate: try await MigrateCommand.run(arguments, environment: environment)
    case .status: try await StatusCommand.run(arguments, environment: environment)
    case .client: try await ClientCommand.run(arguments, environment: environment)
    case .token: try await TokenCommand.run(arguments, environment: environment)
    case .seal: try await SealCommand.run(arguments, environment: environment)
    case .webhook: try await WebhookCommand.run(arguments, environment: environment)
    case .device: try DeviceCommand.run(arguments, environment: environment)
    case .completion: try CompletionCommand.run(arguments)
    }
  }
}

/// The command line.
public enum CommandLineInterface {
  public static let version = "0.1.0"

  /// Runs a command and returns the exit status: 0 for success, 1 for a failure, 2 for a wrong argument or setting.
  /// Prints errors to standard error.
  public static func run(_ arguments: [String], environment: [String: String]) async -> Int32 {
    do {
      switch arguments.first {
      case nil:
        printError(help)
        return 2
      case "--help", "-h", "help": print(help)
      case "--version": print("device-registry \(version)")
      case let flag? where flag.hasPrefix("-"):
        // The message does not repeat the flag, which may contain a secret.
        throw UsageError("the command comes first; device-registry --help lists the commands")
      case let name? where OwnerSubject(rawValue: name) != nil:
        ProcessSettings.apply()
        try NeighbourProgram.owner.run(arguments)
      case let name?:
        guard let command = Command(rawValue: name) else {
          throw UsageError("there is no command \(name); device-registry --help lists the commands")
        }
        let rest = Array(arguments.dropFirst())
        if rest.contains("--help") || rest.contains("-h"), command != .completion {
          print(command.help)
        } else {
          ProcessSettings.apply()
          try await command.run(rest, environment: environment)
        }
      }
      return 0
    } catch let error as UsageError {
      printError("device-registry: \(error)")
      return 2
    } catch {
      printError("device-registry: \(error)")
      return 1
    }
  }

  static let help = """
    The device registry: registers, authenticates and revokes trading terminals.

    usage: device-registry COMMAND [--FLAG VALUE ...]

    \(columns(subjects.map { ($0.name, $0.summary) }))

    device-registry COMMAND --help describes a command; --version prints the version.
    """

  /// Everything that the first argument may be.
  static let subjects =
    Command.allCases.map { Subject($0.rawValue, $0.summary, commands: [$0.row]) } + OwnerCommand.subjects

  /// Lines of two columns.
  static func columns(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1 }
      .joined(separator: "\n")
  }

  /// Lines of settings, with their units and defaults.
  static func columns(of settings: [Setting]) -> String {
    columns(
      settings.map { setting in
        let declaration = setting.declaration
        let unit = declaration.unit.map { ", in \($0)" }
        let isDefault = (declaration.defaultText ?? declaration.computedDefault).map { " (default: \($0))" }
        return (
          "\(setting.flag), \(setting.rawValue)", declaration.meaning + (unit ?? "") + (isDefault ?? "")
        )
      })
  }

  static func warn(_ text: String) { printError("device-registry: warning: \(text)") }

  /// Writes a line to standard error.
  static func printError(_ text: String) {
    var line = text + "\n"
    line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress!, $0.count) }
  }
}
