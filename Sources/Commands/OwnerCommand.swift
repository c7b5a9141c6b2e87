/// The commands that call a registry as an owner: those of the program `device-registry-owner`.
public enum OwnerCommand: String, CaseIterable, Sendable {
  case devicesList = "devices list"
  case devicesSummary = "devices summary"
  case devicesShow = "devices show"
  case devicesRegister = "devices register"
  case devicesStatistics = "devices stats"
  case devicesRename = "devices rename"
  case devicesLabel = "devices label"
  case devicesExpire = "devices expire"
  case devicesBind = "devices bind"
  case devicesUnbind = "devices unbind"
  case devicesSuspend = "devices suspend"
  case devicesResume = "devices resume"
  case devicesHalt = "devices halt"
  case devicesMode = "devices mode"
  case devicesRotate = "devices rotate"
  case devicesRevoke = "devices revoke"
  case devicesDelete = "devices delete"
  case groupsList = "groups list"
  case groupsShow = "groups show"
  case groupsCreate = "groups create"
  case groupsDelete = "groups delete"
  case groupsAdd = "groups add"
  case groupsRemove = "groups remove"
  case enrolmentsCreate = "enrolments create"
  case enrolmentsList = "enrolments list"
  case enrolmentsDelete = "enrolments delete"
  case signalsSend = "signals send"
  case signalsList = "signals list"
  case signalsShow = "signals show"
  case signalsCancel = "signals cancel"
  case statistics = "stats"
  case eventsFollow = "events follow"
  case webhooksList = "webhooks list"
  case webhooksCreate = "webhooks create"
  case webhooksShow = "webhooks show"
  case webhooksTest = "webhooks test"
  case webhooksDelete = "webhooks delete"
  case webhooksEnable = "webhooks enable"
  case telegramLink = "telegram link"
  case telegramList = "telegram list"
  case telegramUnlink = "telegram unlink"

  /// The table of these commands.
  public static let subjects = OwnerSubject.allCases.map { subject in
    Subject(
      subject.rawValue, subject.summary, details: subject.details,
      commands: allCases.filter { $0.subject == subject }.map(\.row))
  }

  /// Reads the arguments after the program's name.
  public static func parse(_ arguments: [String], environment: [String: String]) throws(UsageError)
    -> OwnerInvocation
  {
    let table = CommandTable(program: "device-registry", subjects: subjects)
    switch try table.parse(arguments, environment: environment) {
    case .help(let text): return .help(text)
    case .command(let subject, let row, let parsed):
      let words = [subject.name, row.name].compactMap(\.self)
      guard let command = OwnerCommand(rawValue: words.joined(separator: " ")) else {
        throw UsageError("there is no command \(subject.name)")
      }
      return .command(command, parsed)
    }
  }

  /// The name is nil if the subject is the command.
  private var words: (subject: String, name: String?) {
    let words = rawValue.split(separator: " ").map(String.init)
    return (words[0], words.count > 1 ? words[1] : nil)
  }

  private var subject: OwnerSubject? { OwnerSubject(rawValue: words.subject) }

  /// What the program needs to find the registry, and how it prints.
  private func row(
    _ summary: String, details: String = "", _ arguments: [Argument] = [], _ options: [Option] = [],
    alternatives: [[Option]] = [], examples: [String]
  ) -> CommandRow {
    CommandRow(
      words.name, summary, details: details, arguments: arguments, options: options + Option.connection,
      alternatives: alternatives, examples: examples)
  }

  /// A change of several devices.
  private func change(
    _ summary: String, details: String = "", after arguments: [Argument] = [], _ options: [Option] = [],
    alternatives: [[Option]] = [], examples: [String]
  ) -> CommandRow {
    row(
      summary, details: details, arguments + [.optionalDevices],
      Option.selection + options + [.reason, .dryRun, .expect, .output],
      alternatives: alternatives + [Option.selection], examples: examples)
  }

  private var row: CommandRow {
    switch self {
    case .devicesList:
      row(
        "list devices, oldest first", details: "All conditions must hold.", [],
        [
          .status, .anyLabel, .inGroup, .search, .online, .offline, .seenBefore, .unconfirmed, .listOutput,
        ], alternatives: [[.online, .offline]],
        examples: [
          "", "--status active,suspended --label role:primary --offline", "--seen-before 30d --output csv",
          "--status revoked --output ids",
        ])
    case .devicesSummary: row("count devices by status and group", [], [.output], examples: [""])
    case .devicesShow:
      row("show a device", [.device], [.output], examples: ["EA-7", "EA-7 --output json"])
    case .devicesStatistics:
      row(
        "show what a device did, by hour or day", details: Self.statisticsDetails, [.device],
        Self.periodOptions, examples: ["EA-7", "EA-7 --from 30d --step day --output csv"])
    case .devicesRegister:
      row(
        "register a device and keep its secret", details: Self.secretDetails,
        [Argument("NAME", "the name of the new device; unique among your devices that are not revoked")],
        [.secretFile, .showSecret, .newLabel, .newGroup, .expiresAt, .output],
        alternatives: [[.secretFile, .showSecret]],
        examples: [
          "EA-7 --secret-file EA-7.secret",
          "EA-8 --secret-file EA-8.secret --label role:backup --expires-at 30d",
        ]
      )
    case .devicesRename:
      row(
        "rename a device", [.device, Argument("NEW_NAME", "its new name")], [.output],
        examples: ["EA-7 'EA-7 London'"])
    case .devicesLabel:
      change(
        "set or remove labels of devices", [.setLabel, .removeLabel],
        examples: ["EA-7 --set role:primary --remove vps", "--group london --set vps:ldn-2"])
    case .devicesExpire:
      change(
        "set when devices expire: they are refused from then on", [.at, .never], alternatives: [[.at, .never]],
        examples: ["EA-7 --at 2027-01-31T00:00:00Z", "--label plan:trial --at 14d", "EA-7 --never"])
    case .devicesBind:
      row(
        "bind a device to a trading account: on any other it gets no signals",
        details: "The account is what the terminal says of itself.",
        [
          .device, Argument("LOGIN", "the account's number"),
          Argument("SERVER", "the broker's name of its server"),
        ],
        [.output], examples: ["EA-7 5012345 MetaQuotes-Demo"])
    case .devicesUnbind:
      row("let a device get signals on any trading account", [.device], [.output], examples: ["EA-7"])
    case .devicesSuspend:
      change(
        "suspend devices: they are refused until they are resumed", [.until],
        examples: ["EA-7 --reason 'invoice 1042'", "--label customer:acme --until 7d"])
    case .devicesResume:
      change(
        "resume suspended devices", examples: ["EA-7", "--label customer:acme --reason 'invoice 1042 paid'"])
    case .devicesHalt:
      change(
        "halt devices: they stop trading, and stay connected", details: "Asks first. " + Self.modeDetails,
        [.cancelSignals, .wait, .yes],
        examples: ["--all --reason news --wait 60", "--group london --cancel-signals --yes"])
    case .devicesMode:
      change(
        "set the trading mode of devices: normal, close_only or halted", details: Self.modeDetails,
        after: [Argument("MODE", "what they may do", value: .oneOf(["normal", "close_only", "halted"]))],
        [.cancelSignals, .wait], examples: ["normal --all", "close_only EA-7 EA-8 --wait 30"])
    case .devicesRotate:
      row(
        "give a device a new secret",
        details: Self.secretDetails
          + " The old secret works until the new one is first used, or until the grace ends.",
        [.device],
        [.secretFile, .showSecret, .grace, .reason, .output], alternatives: [[.secretFile, .showSecret]],
        examples: ["EA-7 --secret-file EA-7.secret.new", "EA-7 --grace 0 --secret-file EA-7.secret.new"])
    case .devicesRevoke:
      change(
        "revoke devices: they are refused forever",
        details: "Asks first: a device that is revoked cannot be used again.", [.yes],
        examples: ["EA-7 --reason 'contract ended'", "--label customer:acme --yes --expect 12"])
    case .devicesDelete:
      row(
        "delete revoked devices", details: "Asks first. Their events stay.", [.optionalDevices],
        [.idsFile, .yes],
        examples: ["EA-7", "--ids-file old-devices --yes"])
    case .groupsList: row("list groups", [], [.output], examples: [""])
    case .groupsShow: row("show a group and its devices", [.group], [.output], examples: ["london"])
    case .groupsCreate:
      row(
        "create a group, or change its description", [.group], [.description, .output],
        examples: ["london --description 'terminals in LD4'"])
    case .groupsDelete:
      row(
        "delete a group; its devices stay", details: "Asks first.", [.group], [.yes], examples: ["london --yes"]
      )
    case .groupsAdd:
      change(
        "put devices into a group", after: [.group], examples: ["london EA-7 EA-8", "london --label vps:ldn-2"])
    case .groupsRemove:
      change("take devices out of a group", after: [.group], examples: ["london EA-7", "london --all"])
    case .enrolmentsCreate:
      row(
        "create codes with which terminals get a device and its secret",
        details:
          "Each code works once, and is shown this once: it is written to a new file that only you can read, a code a "
          + "line, or printed.",
        [],
        [
          .count, .enrolledName, .newLabel, .newGroup, .expiresAt, .movedDevice, .lifetime, .codesFile,
          .showCodes, .output,
        ],
        alternatives: [[.codesFile, .showCodes]]
          + [.count, .enrolledName, .newLabel, .newGroup, .expiresAt].map { [$0, .movedDevice] },
        examples: [
          "--name EA-9 --show-codes",
          "--count 20 --name desk --label plan:trial --expires-at 14d --lifetime 86400 --codes-file codes",
          "--device EA-7 --show-codes",
        ])
    case .enrolmentsList: row("list enrolments", [], [.output], examples: ["", "--output csv"])
    case .enrolmentsDelete:
      row("delete an enrolment: its code no longer works", [.id("the enrolment's id")], examples: [Self.someID])
    case .signalsSend:
      row(
        "send a signal to devices", details: "Prints the signal's id.", [.optionalDevices],
        [.payload, .payloadFile] + Option.selection + [.ttl, .output],
        alternatives: [[.payload, .payloadFile], Option.selection],
        examples: [
          #"--all --payload '{"symbol": "EURUSD", "side": "buy"}'"#, "EA-7 EA-8 --payload-file order.json",
          "--label role:primary --payload-file order.json --ttl 60",
        ])
    case .signalsList: row("list signals, newest first", [], [.output], examples: ["", "--output csv"])
    case .signalsShow:
      row(
        "show a signal and what each device did with it",
        details: "JSON has a line for each 1,000 devices.", [.id("the signal's id")], [.output],
        examples: ["01a20a5b-1476-7edc-b467-b5e73ebe5877"])
    case .signalsCancel:
      row(
        "cancel a signal: devices that have not got it do not get it, and others learn that it is cancelled",
        [.id("the signal's id")], [.reason, .output], examples: [Self.someID + " --reason 'wrong price'"])
    case .statistics:
      row(
        "show what all devices did, or each device or group, by hour or day",
        details: Self.statisticsDetails + " A device counts in each of its groups.", [],
        Self.periodOptions + [.statisticsBy],
        examples: ["", "--by group --from 7d --step day", "--by device --output csv"])
    case .eventsFollow:
      row(
        "print events as they happen",
        details:
          "Ends with SIGINT (Ctrl-C) or SIGTERM, and prints the cursor to continue at to standard error. Retries "
          + "when the registry cannot be reached. The events that were printed last may be printed again if the program is "
          + "killed before it stores their cursor.", [],
        [.after, .fromStart, .cursorFile, .types, .eventsOfDevice, .eventOutput],
        alternatives: [[.after, .fromStart]],
        examples: [
          "", "--from-start --types 'device.*' --output json", "--from-start --cursor-file events.cursor",
        ])
    case .webhooksList: row("list webhooks", [], [.output], examples: [""])
    case .webhooksCreate:
      row(
        "create a webhook that posts events to a URL", details: "Prints its id.",
        [Argument("RECEIVER", "the URL, which begins with https://")],
        [.webhookSecretFile, .types, .description],
        examples: ["https://example.com/hook --secret-file webhook-secret --types 'device.*'"])
    case .webhooksShow: row("print a webhook as JSON", [.webhook], examples: [Self.someID])
    case .webhooksTest:
      row(
        "post a test event, and print what the receiver answered as JSON",
        details: "The exit status is 1 if the receiver did not accept it.", [.webhook], examples: [Self.someID])
    case .webhooksDelete: row("delete a webhook", [.webhook], examples: [Self.someID])
    case .webhooksEnable:
      row(
        "continue a disabled webhook after the last delivered event", [.webhook], examples: [Self.someID])
    case .telegramLink:
      row(
        "create a code that links a Telegram chat",
        details:
          "Prints what to send to the registry's bot within a quarter of an hour. Who sends it sees and halts your devices.",
        [], examples: [""])
    case .telegramList: row("list linked chats", [], [.output], examples: [""])
    case .telegramUnlink:
      row("cut a chat off", [.id("the link's id")], examples: [Self.someID])
    }
  }

  private static let someID = "01a20a5b-1476-7edc-b467-b5e73ebe5877"
  private static let statisticsDetails =
    "Hours and days are those of UTC; those in which nothing happened are left out. Durations are in milliseconds from a "
    + "signal's creation until a poll first returned it (handed out) and until it was acknowledged."
  private static let periodOptions: [Option] = [.statisticsFrom, .statisticsTo, .step, .output]
  private static let modeDetails =
    "Prints which devices have not confirmed. With --wait, the exit status is 4 unless all confirm in time."
  private static let secretDetails =
    "The registry shows the secret this once. It is written to a new file that only you can read, or printed."
}

/// What the commands are about.
public enum OwnerSubject: String, CaseIterable, Sendable {
  case devices, groups, enrolments, signals
  case statistics = "stats"
  case events, webhooks, telegram

  public var summary: String {
    switch self {
    case .devices: "find, register, change and stop a client's devices"
    case .groups: "put a client's devices into groups"
    case .enrolments: "create codes with which terminals get a device and its secret"
    case .signals: "send signals to a client's devices, and see what became of them"
    case .statistics: "show what a client's devices did"
    case .events: "print a client's events as they happen"
    case .webhooks: "list, create, test, delete or enable a client's webhooks"
    case .telegram: "link Telegram chats that see and halt a client's devices"
    }
  }

  var details: String {
    switch self {
    case .devices: "A device is named by its id or its name. docs/fleet.md has recipes." + Self.exitStatus
    case .groups, .enrolments, .signals, .statistics, .events: Self.exitStatus
    case .telegram: "docs/telegram.md describes the bot." + Self.exitStatus
    case .webhooks:
      "Webhooks are URLs to which the registry posts events. docs/webhooks.md describes how to receive them, and "
        + "device-registry webhook listen is a receiver to try them." + Self.exitStatus
    }
  }

  /// As `ExitStatus` of the program has it.
  private static let exitStatus =
    " The exit status is 0 for success; 1 if the registry refused or cannot be reached; 2 for a wrong argument, before "
    + "anything was sent; 3 if you did not confirm, or there is no terminal to ask on; 4 if some of the devices were not changed, or did not "
    + "confirm their trading mode in time."
}

/// What an owner's command line asks for.
public enum OwnerInvocation: Sendable {
  case help(String)
  case command(OwnerCommand, ParsedArguments)
}

// MARK: - Options and arguments of several commands

extension Option {
  public static let tokenFile = Option(
    "--token-file", "FILE",
    "file with a token; only its owner may have access to it. It is read before each request",
    value: .file, variable: "DEVICE_REGISTRY_TOKEN_FILE", isRequired: true)
  public static let url = Option(
    "--url", "URL", "the registry's scheme, host and port (default: http://localhost:8000)",
    variable: "DEVICE_REGISTRY_URL")
  public static let caFile = Option(
    "--ca-file", "FILE",
    "PEM certificates to trust instead of the system's (default: the file in SSL_CERT_FILE)",
    value: .file)
  public static let insecureHTTP = Option(
    switch: "--insecure-http", "allow plain HTTP to another machine, which others on the network can read")
  static let connection = [tokenFile, url, caFile, insecureHTTP]

  public static let output = Option(
    "--output", "FORMAT",
    "a table for people (default), or all values for programs: what the registry answered, or a spreadsheet",
    value: .oneOf(["table", "json", "csv"]))
  public static let yes = Option(switch: "--yes", "do not ask")
  public static let reason = Option("--reason", "TEXT", "why, at most 200 characters; its event keeps it")
  public static let secretFile = Option(
    "--secret-file", "FILE", "a new file for the secret, with mode 0600", value: .file)
  public static let showSecret = Option(switch: "--show-secret", "print the secret instead")

  public static let all = Option(switch: "--all", "all devices that are not revoked")
  public static let inGroup = Option("--group", "NAME", "the devices of this group")
  public static let withLabel = Option(
    "--label", "KEY:VALUE", "the devices with this label; of several, with all of them", isRepeatable: true)
  public static let idsFile = Option(
    "--ids-file", "FILE",
    "the devices that this file lists, a name or an id a line, at most 1000; - for standard input",
    value: .file)
  static let selection = [all, inGroup, withLabel, idsFile]
  public static let dryRun = Option(switch: "--dry-run", "only count the devices that would change")
  public static let expect = Option(
    "--expect", "NUMBER", "change nothing unless this many devices are meant", value: .number(0...10_000_000))

  public static let status = Option(
    "--status", "LIST", "the status", value: .someOf(["active", "suspended", "expired", "revoked"]))
  public static let anyLabel = Option(
    "--label", "KEY[:VALUE]", "with this label, or with any value of it; of several, with all of them",
    isRepeatable: true)
  public static let search = Option("--search", "TEXT", "whose name contains this, in any case")
  public static let online = Option(switch: "--online", "that sent a request in the last 90 s")
  public static let offline = Option(switch: "--offline", "that did not")
  public static let seenBefore = Option(
    "--seen-before", "TIME", "not seen since this time, or for this long: 30m, 12h, 7d")
  public static let statisticsFrom = Option(
    "--from", "TIME", "from this time on, or for this long: 30m, 12h, 7d (default: 1d, or 30d by day)")
  public static let statisticsTo = Option("--to", "TIME", "until this time, or this long ago (default: now)")
  public static let step = Option(
    "--step", "STEP", "a line for each hour (default) or day", value: .oneOf(["hour", "day"]))
  public static let statisticsBy = Option(
    "--by", "WHAT", "a line for each device or group too", value: .oneOf(["device", "group"]))
  public static let unconfirmed = Option(switch: "--unconfirmed", "that have not confirmed their trading mode")
  public static let listOutput = Option(
    "--output", "FORMAT",
    "a table for people (default); what the registry answered; a spreadsheet; or one id a line, for --ids-file",
    value: .oneOf(["table", "json", "csv", "ids"]))

  public static let newLabel = Option(
    "--label", "KEY:VALUE", "a label of the new device; may be repeated", isRepeatable: true)
  public static let newGroup = Option(
    "--group", "NAME", "a group that the new device is in; may be repeated", isRepeatable: true)
  public static let expiresAt = Option(
    "--expires-at", "TIME", "when the new device expires: 2027-01-31T00:00:00Z, or in this long: 30d")
  public static let setLabel = Option(
    "--set", "KEY:VALUE", "a label to set; may be repeated", isRepeatable: true)
  public static let removeLabel = Option(
    "--remove", "KEY", "a label to remove; may be repeated", isRepeatable: true)
  public static let at = Option("--at", "TIME", "when: 2027-01-31T00:00:00Z, or in this long: 12h, 30d")
  public static let never = Option(switch: "--never", "they do not expire")
  public static let until = Option(
    "--until", "TIME", "when the suspension ends: 2027-01-31T00:00:00Z, or in this long: 12h, 7d")
  public static let cancelSignals = Option(
    switch: "--cancel-signals", "cancel the signals that they have not acknowledged")
  public static let wait = Option(
    "--wait", "SECONDS", "wait this long, at most an hour, until all have confirmed", value: .number(0...3600))

  public static let grace = Option(
    "--grace", "SECONDS", "how long the old secret still works, 0 to 86400 (default: a day)",
    value: .number(0...86_400))

  public static let count = Option(
    "--count", "NUMBER", "how many, 1 to 500 (default: 1)", value: .number(1...500))
  public static let enrolledName = Option(
    "--name", "NAME",
    "the name of the new device, unless the terminal gives one; of several, each with its number")
  public static let movedDevice = Option(
    "--device", "DEVICE", "give this device a new secret instead, for a terminal that moves")
  public static let lifetime = Option(
    "--lifetime", "SECONDS", "how long the codes work, 60 to 2592000 (default: 900)",
    value: .number(60...2_592_000))
  public static let codesFile = Option(
    "--codes-file", "FILE", "a new file for the codes, with mode 0600", value: .file)
  public static let showCodes = Option(switch: "--show-codes", "print the codes instead")

  public static let payload = Option("--payload", "JSON", "the content, a JSON object of at most 16 KiB")
  public static let payloadFile = Option(
    "--payload-file", "FILE", "a file with the content; - reads it from standard input", value: .file)
  public static let ttl = Option(
    "--ttl", "SECONDS", "how long it is delivered, 1 to 604800 (default: 3600)", value: .number(1...604_800))

  public static let after = Option(
    "--after", "CURSOR", "begin after this cursor (default: with what happens from now on)")
  public static let fromStart = Option(switch: "--from-start", "begin with the oldest event that is kept")
  public static let cursorFile = Option(
    "--cursor-file", "FILE",
    "continue where this file says, if it exists, and store the cursor there after each page", value: .file)
  public static let types = Option(
    "--types", "TYPES", "types separated by commas; 'device.*' means all types of devices (default: all)")
  public static let eventsOfDevice = Option("--device", "DEVICE", "only events of this device, by name or id")
  public static let eventOutput = Option(
    "--output", "FORMAT",
    "time, type, device, actor and changes, separated by tabs (default), or one event per line as GET /api/v1/events has it",
    value: .oneOf(["text", "json"]))

  public static let webhookSecretFile = Option(
    "--secret-file", "FILE",
    "a new file for the webhook's secret, which verifies deliveries and is not shown again", value: .file,
    isRequired: true)
  public static let description = Option("--description", "TEXT", "a text that it is listed with")
}

extension Argument {
  static let device = Argument("DEVICE", "the device's name or id")
  static let devices = Argument("DEVICE", "names or ids of devices", isRepeatable: true)
  static let optionalDevices = Argument(
    "DEVICE", "names or ids of devices", isRequired: false, isRepeatable: true)
  static let webhook = id("the webhook's id")
  static let group = Argument("GROUP", "the group's name: 1 to 64 of A-Z a-z 0-9 . _ -")

  static func id(_ meaning: String) -> Argument { Argument("ID", meaning) }
}
