internal import Commands
internal import API
internal import EventLoop
internal import Observability
internal import Registry

enum ClientCommand {
  static let usage =
    "device-registry client add | list | set ID | suspend ID | resume ID | remove ID [--FLAG VALUE ...]"

  static let help = """
    Manages clients, the owners of devices. The service may run meanwhile.

    usage: device-registry client add [--id ID] [--email ADDRESS] [--telegram-id NUMBER] [--max-devices NUMBER]
                                      [--if-absent] [--create]
           device-registry client list
           device-registry client set ID [--email ADDRESS] [--telegram-id NUMBER] [--max-devices NUMBER]
           device-registry client suspend ID [--reason TEXT]    refuses its owner and all its devices at once
           device-registry client resume ID [--reason TEXT]
           device-registry client remove ID                     removes the client's devices too

    \(CommandLineInterface.columns([
      ("--id", "1 to 64 visible ASCII characters, the sub of the client's tokens (default: a new UUID)"),
      ("--email", "unique among all clients"),
      ("--telegram-id", "the client's user id on Telegram"),
      ("--max-devices", "devices that the client may have, revoked ones included (default: MAX_DEVICES_PER_CLIENT)"),
      ("", "set clears what is given as an empty text: --max-devices ''"),
      ("--reason", "why; the event has it, and for a suspension the owner and the devices see it"),
      (ifAbsent, "succeed if a client with this id exists"),
      (create, "create a registry in the database if it has none, as serve and migrate do"),
    ]))
    \(CommandLineInterface.columns(of: [.databaseURL]))
    """

  private static let (ifAbsent, create) = ("--if-absent", "--create")

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    let arguments = try Arguments(
      arguments,
      flags: [
        "--id", "--email", "--telegram-id", "--max-devices", "--reason", Setting.databaseURL.flag,
      ],
      switches: [ifAbsent, create], environment: environment)
    switch arguments.words.first {
    case "add":
      try arguments.expectWords(["add"], usage: usage)
      try await add(arguments)
    case "list":
      try arguments.expectWords(["list"], usage: usage)
      try await list(arguments)
    case "set", "suspend", "resume", "remove":
      let action = arguments.words[0]
      try arguments.expectWords([action, "ID"], usage: usage)
      let id = try clientID(arguments.words[1])
      switch action {
      case "set": try await set(id, arguments)
      case "remove": try await remove(id, arguments)
      default: try await changeState(of: id, isSuspension: action == "suspend", arguments)
      }
    case nil: throw UsageError("missing argument add, list, set, suspend, resume or remove; usage: \(usage)")
    default:
      throw UsageError("the first argument must be add, list, set, suspend, resume or remove; usage: \(usage)")
    }
  }

  private static func add(_ arguments: Arguments) async throws {
    let id = try arguments.value(of: "--id").map(clientID)
    let update = try values(arguments)
    let isQuiet = arguments.has(ifAbsent)
    try await withClients(arguments, creates: arguments.has(create)) { clients in
      do throws(RegistryError) {
        let client = try await clients.createClient(
          id: id, email: update.email ?? nil, telegramID: update.telegramID ?? nil,
          maxDevices: update.maxDevices ?? nil, change: change())
        print(client.id)
      } catch {
        guard isQuiet, error == .clientIDTaken, let id else { throw error }
        print(id)
      }
    }
  }

  /// What the flags set; an empty text clears.
  private static func values(_ arguments: Arguments) throws -> ClientUpdate {
    func value<Value>(
      of flag: String, _ what: String, _ parse: (String) -> Value?
    ) throws -> Value?? {
      guard let text = arguments.value(of: flag) else { return nil }
      guard !text.isEmpty else { return .some(nil) }
      guard let value = parse(text) else { throw UsageError("\(flag): \(text) is not \(what)") }
      return .some(value)
    }
    let limits = Client.deviceLimits
    return ClientUpdate(
      email: try value(of: "--email", "an e-mail address") { Email($0) },
      telegramID: try value(of: "--telegram-id", "a whole number") { Int64($0) },
      maxDevices: try value(
        of: "--max-devices", "a whole number from \(limits.lowerBound) to \(limits.upperBound)"
      ) { Int($0).flatMap { limits.contains($0) ? $0 : nil } })
  }

  private static func set(_ id: ClientID, _ arguments: Arguments) async throws {
    let update = try values(arguments)
    guard update != ClientUpdate() else {
      throw UsageError("set needs --email, --telegram-id or --max-devices; usage: \(usage)")
    }
    try await withClients(arguments) { clients in
      print(line(of: try await clients.updateClient(id, update, change: change())))
    }
  }

  private static func changeState(of id: ClientID, isSuspension: Bool, _ arguments: Arguments) async throws {
    let reason = arguments.value(of: "--reason")
    guard reason?.unicodeScalars.count ?? 0 <= Change.maximumReasonLength else {
      throw UsageError("--reason: must have at most \(Change.maximumReasonLength) characters")
    }
    let change = change().because(reason)
    try await withClients(arguments) { clients in
      let client =
        isSuspension
        ? try await clients.suspendClient(id, change: change)
        : try await clients.resumeClient(id, change: change)
      print(line(of: client))
    }
  }

  private static func line(of client: Client) -> String {
    [
      client.id.text, client.email?.text ?? "-", client.telegramID.map(String.init) ?? "-",
      client.createdAt.description, client.suspension == nil ? "active" : "suspended",
      String(client.deviceCount),
      client.maxDevices.map(String.init) ?? "-",
    ].joined(separator: "\t")
  }

  private static func list(_ arguments: Arguments) async throws {
    try await withClients(arguments) { clients in
      var cursor: ClientCursor?
      repeat {
        let page = try await clients.listClients(after: cursor)
        for client in page.elements { print(line(of: client)) }
        cursor = page.next
      } while cursor != nil
    }
  }

  private static func remove(_ id: ClientID, _ arguments: Arguments) async throws {
    try await withClients(arguments) { clients in
      try await clients.deleteClient(id, change: change())
      var deleted = 0
      // Each round deletes the rows that it reports, so there are as many rounds as rows allow.
      while true {
        let rows = try await clients.clearDeletedClients(id, maximumRows: rowsPerReport, change: change())
        deleted += rows
        guard rows == rowsPerReport else { break }
        print("deleted \(deleted) rows of \(id)")
      }
    }
    print("removed \(id)")
  }

  /// Deleted rows between two lines of progress.
  private static let rowsPerReport = 100_000

  private static func change() -> Change { Change(by: .operator, at: SystemClock().now()) }

  private static func clientID(_ text: String) throws(UsageError) -> ClientID {
    guard let id = ClientID(text) else {
      throw UsageError("\(text) is not a client id: 1 to \(ClientID.maximumLength) visible ASCII characters")
    }
    return id
  }

  /// Runs the body with the clients' service, after migrating the database.
  ///
  /// - Parameter creates: whether a database without a registry gets one.
  private static func withClients(
    _ arguments: Arguments, creates: Bool = false,
    _ body: @escaping @Sendable (ClientService) async throws -> Void
  ) async throws {
    let url = try Configuration.database(arguments)
    if creates {
      _ = try Database.migrate(url, warn: CommandLineInterface.warn)
    } else {
      try Database.migrateExisting(url)
    }
    try await withClients(of: url, body)
  }

  /// Runs the body with the clients' service on a new event loop, without migrating the database.
  static func withClients(
    of url: DatabaseURL, logLevel: Logger.Level = .warning,
    _ body: @escaping @Sendable (ClientService) async throws -> Void
  ) async throws {
    try await Database.withStore(of: url, logLevel: logLevel) { store in
      try await body(
        ClientService(
          store: store, live: LiveDevices(monotonicMilliseconds: { MonotonicClock.milliseconds }),
          random: SystemRandomSource(), observer: Unobserved()))
    }
  }
}

/// An error of the registry, described for a terminal.
struct CommandFailure: Error, CustomStringConvertible {
  let error: RegistryError

  init(_ error: RegistryError) { self.error = error }

  /// The cause is for the operator, whose terminal this is.
  var description: String {
    switch error {
    case .unavailable(let cause), .fault(let cause): "\(error.explanation) The cause: \(cause)."
    default: error.explanation
    }
  }
}
