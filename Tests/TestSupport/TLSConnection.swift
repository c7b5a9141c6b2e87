import Foundation

/// A TLS connection that `openssl s_client` makes: it stays until it is closed.
public final class TLSConnection: Sendable {
  private let process: ChildProcess

  public struct Ended: Error {
    public let received: String
  }

  /// - Parameter certificate: the file of the one certificate that is trusted.
  public init(to address: String, trusting certificate: String) throws {
    process = try ChildProcess(
      [
        "/usr/bin/openssl", "s_client", "-quiet", "-connect", address, "-CAfile", certificate,
        "-verify_return_error",
      ], environment: [])
  }

  deinit { close() }

  /// Sends a request, and reads its answer up to its end, as a rule that of its JSON, an object.
  public func ask(_ path: String, end: String = "}") async throws -> String {
    try await onOwnThread { [process] in
      process.input.write("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
      var answer = ""
      while !answer.hasSuffix(end) {
        let piece = process.output.read()
        guard !piece.isEmpty else { throw Ended(received: answer) }
        answer += String(decoding: piece, as: UTF8.self)
      }
      return answer
    }
  }

  public func close() { process.send(SIGTERM) }
}
