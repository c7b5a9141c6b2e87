import Foundation
import TestSupport
import Testing

/// The real service with a new database. It stops with its last reference.
struct RunningRegistry {
  let url: String
  private let environment: [String]
  private let program: Program

  /// With a client of each id, and with TLS if there is a certificate.
  static func start(
    clients: [String], listen: String = "127.0.0.1:0", certificate: CertificateFiles? = nil,
    in directory: TemporaryDirectory
  ) async throws -> RunningRegistry {
    let tls = certificate.map { ["TLS_CERT_FILE=\($0.certificate)", "TLS_KEY_FILE=\($0.key)"] } ?? []
    let environment = [
      "ADMIN_LISTEN=", "JWT_SECRET=0123456789abcdef0123456789abcdef",
      "DATABASE_URL=sqlite:\(directory.path)/registry.db", "LISTEN=\(listen)", "ARGON2_MEMORY_KIB=8",
    ]
    for id in clients { _ = try await output(["client", "add", "--create", "--id", id], environment) }
    let program = try Program(["serve"], environment + tls)
    let line = try await program.errorLine(containing: #""event":"listening""#)
    let address = try #require(line.firstMatch(of: /"address":"([^"]+)"/)).1
    return RunningRegistry(
      url: "\(certificate == nil ? "http" : "https")://\(address)", environment: environment, program: program)
  }

  func token(_ client: String) async throws -> String {
    String(try await Self.output(["token", "--sub", client], environment).dropLast())
  }

  private static func output(_ arguments: [String], _ environment: [String]) async throws -> String {
    let result = try await Program.run(arguments, environment)
    try #require(result.status == 0, "\(result.errors)")
    return result.output
  }
}
