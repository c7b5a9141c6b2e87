internal import Observability

enum ServeCommand {
  static let help = """
    Runs the service. SIGTERM and SIGINT stop it after it has answered the requests in flight; SIGHUP reloads the
    certificate.

    usage: \(Configuration.usage)

    Each setting is a flag or an environment variable; the flag wins. At least one JWT key is needed.

    \(CommandLineInterface.columns(of: Setting.allCases))

      \(Configuration.insecureSwitch)  allow addresses that other machines can reach, without TLS
      \(Configuration.checkSwitch)                 test the settings and what they name, change nothing, and print what was found;
                              exits with the status with which the service would not start: 2 for a wrong setting, 1 for
                              anything else

    examples:
      JWT_SECRET_FILE=data/jwt-secret device-registry serve
      device-registry serve --check
      device-registry serve --database-url postgresql://registry@localhost/registry --jwt-jwks-url https://id.example.com/jwks
    """

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    let arguments = try Configuration.arguments(arguments, environment)
    guard !arguments.has(Configuration.checkSwitch) else {
      return try await ServiceCheck.run(arguments, environment)
    }
    let configuration = try Configuration(arguments, environment)
    let logger = Logger(level: configuration.logLevel, format: configuration.logFormat)
    defer { logger.close() }
    // Created first, so that a signal at any time causes an orderly shutdown.
    let signals = try await ServiceSignals()
    defer { signals.close() }
    let server = try await compose(configuration, logger: logger)
    for await _ in signals.reloads { await server.reload() }
    await server.shutDown()
  }
}
