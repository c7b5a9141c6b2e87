import Commands
import DeviceRegistryClient
import Foundation

/// The program that `device-registry` starts for the commands of an owner.
enum OwnerProgram {
  /// Runs a command and returns the exit status. Prints results to standard output and errors to standard error.
  static func run(_ arguments: [String], environment: [String: String]) async -> Int32 {
    do {
      switch try OwnerCommand.parse(arguments, environment: environment) {
      case .help(let text): try Terminal.print(lines: text)
      case .command(let command, let arguments):
        try await OwnerSession(arguments, environment: environment).perform(command)
      }
      return ExitStatus.done.rawValue
    } catch {
      Terminal.say("\(error)")
      return status(of: error).rawValue
    }
  }

  private static func status(of error: any Error) -> ExitStatus {
    switch error {
    case is UsageError: .wrongArgument
    case let failure as Failure: failure.status
    case RegistryClientError.invalidURL, RegistryClientError.invalidArgument, RegistryClientError.secretFile:
      .wrongArgument
    default: .failed
    }
  }
}

/// What `$?` is after a command.
enum ExitStatus: Int32 {
  case done = 0
  /// The registry refused, or cannot be reached.
  case failed = 1
  /// Nothing was sent.
  case wrongArgument = 2
  /// The user did not confirm, or there is no terminal to ask on. Nothing was changed.
  case notConfirmed = 3
  /// Some of the devices were not changed, or did not confirm in time.
  case partlyDone = 4
}

/// A failure with the sentence to print.
struct Failure: Error, CustomStringConvertible {
  let description: String
  let status: ExitStatus

  init(_ description: String, _ status: ExitStatus = .failed) {
    self.description = description
    self.status = status
  }
}

/// A command at work: the registry, the arguments, and where its result is printed.
struct OwnerSession {
  let owner: OwnerClient
  let arguments: ParsedArguments
  let output: Output

  init(_ arguments: ParsedArguments, environment: [String: String]) throws {
    self.arguments = arguments
    owner = try OwnerClient(
      url: arguments[.url] ?? Self.defaultURL, tokenFile: arguments[.tokenFile] ?? "",
      allowsInsecureHTTP: arguments.has(.insecureHTTP), caFile: arguments[.caFile])
    output = Output(
      format: (arguments[.output] ?? arguments[.listOutput]).flatMap(Output.Format.init) ?? .table,
      screen: Screen(environment), now: Date()
    )
  }

  private static let defaultURL = "http://localhost:8000"

  func perform(_ command: OwnerCommand) async throws {
    switch command {
    case .devicesList: try await listDevices()
    case .devicesSummary: try await summarizeDevices()
    case .devicesShow: try await showDevice()
    case .devicesStatistics: try await showDeviceStatistics()
    case .devicesRegister: try await registerDevice()
    case .devicesRename: try await renameDevice()
    case .devicesLabel: try await labelDevices()
    case .devicesExpire: try await setExpiry()
    case .devicesBind: try await bindDevice()
    case .devicesUnbind: try await unbindDevice()
    case .devicesSuspend: try await suspendDevices()
    case .devicesResume: try await resumeDevices()
    case .devicesHalt: try await haltDevices()
    case .devicesMode: try await setTradingMode()
    case .devicesRotate: try await rotateSecret()
    case .devicesRevoke: try await revokeDevices()
    case .devicesDelete: try await deleteDevices()
    case .groupsList: try await listGroups()
    case .groupsShow: try await showGroup()
    case .groupsCreate: try await createGroup()
    case .groupsDelete: try await deleteGroup()
    case .groupsAdd: try await addToGroup()
    case .groupsRemove: try await removeFromGroup()
    case .enrolmentsCreate: try await createEnrolments()
    case .enrolmentsList: try await listEnrolments()
    case .enrolmentsDelete: try await deleteEnrolment()
    case .signalsSend: try await sendSignal()
    case .signalsList: try await listSignals()
    case .signalsShow: try await showSignal()
    case .signalsCancel: try await cancelSignal()
    case .statistics: try await showStatistics()
    case .eventsFollow: try await followEvents()
    case .webhooksList: try await listWebhooks()
    case .webhooksCreate: try await createWebhook()
    case .webhooksShow: try await showWebhook()
    case .webhooksTest: try await testWebhook()
    case .webhooksDelete: try await deleteWebhook()
    case .webhooksEnable: try await enableWebhook()
    case .telegramLink: try await createTelegramCode()
    case .telegramList: try await listTelegramLinks()
    case .telegramUnlink: try await deleteTelegramLink()
    }
  }

  /// Asks whether to do what cannot be undone. Throws unless the user says yes, or said so with `--yes`.
  func confirm(_ question: String) throws(Failure) {
    guard !arguments.has(.yes) else { return }
    guard Terminal.canAsk else {
      throw Failure("\(question) There is no terminal to ask on: confirm with --yes", .notConfirmed)
    }
    guard Terminal.ask("\(question) Type yes to go ahead: ") == "yes" else {
      throw Failure("nothing was changed", .notConfirmed)
    }
  }
}
