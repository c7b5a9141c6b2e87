internal import Commands
internal import API
internal import EventLoop
internal import Observability
internal import Registry

enum ClientCommand {
  static let usage = "device-registry client add | list | remove ID [--FLAG VALUE ...]"

  static let help = """
    Manages clients, the owners of devices. The service may run meanwhile.

    usage: device-registry client add [--id ID] [--email ADDRESS] [--telegram-id NUMBER] [--if-absent]
           device-registry client list
           device-registry client remove ID     removes the client's devices too

    \(CommandLineInterface.columns([
      ("--id", "1 to 64 visible ASCII characters, the sub of the client's tokens (default: a new UUID)"),
      ("--email", "unique among all clients"),
      ("--telegram-id", "the client's user id on Telegram"),
      ("--if-absent", "succeed if a client with this id exists"),
    ]))
    \(CommandLineInterface.columns(of: [.databaseURL]))
    """

  private static let ifAbsent = "--if-absent"

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    let arguments = try Arguments(
      arguments, flags: ["--id", "--email", "--telegram-id", Setting.databaseURL.flag], switches: [ifAbsent],
      environment: environment)
    switch arguments.words.first {
    case "add":
      try arguments.expectWords(["add"], usage: usage)
      try await add(arguments)
    case "list":
      try arguments.expectWords(["list"], usage: usage)
      try await list(arguments)
    case "remove":
      try arguments.expectWords(["remove", "ID"], usage: usage)
      try await remove(try clientID(arguments.words[1]), arguments)
    case nil: throw UsageError("missing argument add, list or remove; usage: \(usage)")
    default: throw UsageError("the first argument must be add, list or remove; usage: \(usage)")
    }
  }

  private static func add(_ arguments: Arguments) async throws {
    let id = try arguments.value(of: "--id").map(clientID)
    let email = try arguments.value(of: "--email").map { text in
      guard let email = Email(text) else { throw UsageError("--email: \(text) is not an e-mail address") }
      return email
    }
    let telegramID = try arguments.value(of: "--telegram-id").map { text in
      guard let number = Int64(text) else { throw UsageError("--telegram-id: \(text) is not a whole number") }
      return number
    }
    let isQuiet = arguments.has(ifAbsent)
    try await withClients(arguments, createsDatabase: true) { clients in
      do throws(RegistryError) {
        print(try await clients.createClient(id: id, email: email, telegramID: telegramID, change: change()).id)
      } catch {
        guard isQuiet, error == .clientIDTaken, let id else { throw error }
        print(id)
      }
    }
  }

  private static func list(_ arguments: Arguments) async throws {
    try await withClients(arguments) { clients in
      var cursor: ClientCursor?
      repeat {
        let page = try await clients.listClients(after: cursor)
        for client in page.elements {
          let telegramID = client.telegramID.map(String.init) ?? "-"
          print("\(client.id)\t\(client.email?.text ?? "-")\t\(telegramID)\t\(client.createdAt)")
        }
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

  /// Runs the body with the clients' service, after migrating the database. Creates none unless told so.
  private static func withClients(
    _ arguments: Arguments, createsDatabase: Bool = false,
    _ body: @escaping @Sendable (ClientService) async throws -> Void
  ) async throws {
    let url = try Configuration.database(arguments)
    if !createsDatabase, let path = Database.missingFile(of: url) { throw DatabaseMissing(path: path) }
    _ = try Database.migrate(url, warn: CommandLineInterface.warn)
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

/// There is no file where the settings say that the database is.
struct DatabaseMissing: Error, CustomStringConvertible {
  let path: String

  var description: String {
    "there is no database \(path); set DATABASE_URL, or create it with: device-registry migrate"
  }
}
