internal import Commands
internal import Glibc
internal import JSONWebToken
internal import Observability
internal import Registry

enum TokenCommand {
  static let usage = "device-registry token --sub ID [--client-id ID] [--scope SCOPES] [--ttl SECONDS]"

  static let help = """
    Prints a JWT signed with JWT_SECRET (HS256), for trials and for services without an identity provider. Warns if
    the database has no client with this id, unless the scope includes registry:admin.

    usage: \(usage)

    \(CommandLineInterface.columns([
      ("--sub", "the client's id, or who acts for the client of --client-id"),
      ("--client-id", "the client's id, if --sub is not; events name both"),
      ("--scope", "scopes separated by spaces; registry:admin manages clients"),
      ("--ttl", "seconds until it expires (default: \(defaultLifetimeSeconds))"),
    ]))
    \(CommandLineInterface.columns(of: settings))
    """

  private static let settings: [Setting] = [
    .jwtSecret, .jwtSecretFile, .jwtIssuer, .jwtAudience, .jwtMaxLifetimeDays, .databaseURL,
  ]
  private static let defaultLifetimeSeconds: Int64 = 3600

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    let arguments = try Arguments(
      arguments, flags: ["--sub", "--client-id", "--scope", "--ttl"] + settings.map(\.flag),
      environment: environment)
    try arguments.expectWords(usage: usage)
    guard let subject = arguments.value(of: "--sub") else {
      throw UsageError("missing option --sub: the client's id")
    }
    let clientID = arguments.value(of: "--client-id")
    guard let client = ClientID(clientID ?? subject) else {
      let flag = clientID == nil ? "--sub" : "--client-id"
      throw UsageError("\(flag) must be 1 to \(ClientID.maximumLength) visible ASCII characters")
    }
    let maximumLifetimeSeconds = Int64(try arguments.number(of: .jwtMaxLifetimeDays)) * 86_400
    let lifetime = arguments.value(of: "--ttl").map { Int64($0) } ?? defaultLifetimeSeconds
    guard let lifetime, (1...maximumLifetimeSeconds).contains(lifetime) else {
      throw UsageError("--ttl must be a whole number from 1 to \(maximumLifetimeSeconds)")
    }
    let (secret, warning) = try JWTConfiguration.secret(arguments)
    if let warning { CommandLineInterface.warn(warning) }
    guard let secret else {
      throw UsageError(.jwtSecretFile, "set this or JWT_SECRET: the key to sign with")
    }
    let signer = TokenSigner(
      secret: secret, issuer: arguments.value(of: .jwtIssuer), audience: arguments.value(of: .jwtAudience))
    let now = SystemClock().now().millisecondsSince1970 / 1000
    guard
      let token = signer.sign(
        subject: subject, clientID: clientID, scope: arguments.value(of: "--scope"), issuedAtSeconds: now,
        lifetimeSeconds: lifetime)
    else { throw UsageError("--sub and --scope must be text without NUL characters") }
    print(token)
    if await isUnknown(client, arguments) {
      CommandLineInterface.warn(
        "the database has no client \(client); add it with: "
          + "device-registry client add --id \(client)")
    }
  }

  /// Whether the database lacks the client. False if the database is unavailable: a token can be made on another
  /// machine. Administrators are not in the database.
  private static func isUnknown(_ client: ClientID, _ arguments: Arguments) async -> Bool {
    let scopes = arguments.value(of: "--scope")?.split(separator: " ") ?? []
    guard !scopes.contains("registry:admin"), let url = try? Configuration.database(arguments) else {
      return false
    }
    // SQLite would create a missing database file.
    if case .sqlite(let path) = url, access(path, R_OK | W_OK) != 0 { return false }
    do {
      try await ClientCommand.withClients(of: url, logLevel: .error) { _ = try await $0.getClient(client) }
      return false
    } catch {
      return (error as? CommandFailure)?.error == .clientNotFound
    }
  }
}
