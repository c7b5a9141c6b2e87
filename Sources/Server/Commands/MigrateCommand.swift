enum MigrateCommand {
  static let usage = "device-registry migrate [\(Setting.databaseURL.flag) URL]"

  static let help = """
    Brings the database schema up to date and exits. `serve` does the same when it starts.

    usage: \(usage)

    \(CommandLineInterface.columns(of: [.databaseURL]))
    """

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    let arguments = try Arguments(arguments, flags: [Setting.databaseURL.flag], environment: environment)
    try arguments.expectWords(usage: usage)
    let applied = try Database.migrate(try Configuration.database(arguments), warn: CommandLineInterface.warn)
    for migration in applied { print("applied \(migration)") }
    if applied.isEmpty { print("the database is up to date") }
  }
}
