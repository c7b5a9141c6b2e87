internal import Foundation

/// HTTP exchanges with limits on time and size. Follows no redirects, and keeps no cookies, caches and credentials.
///
/// Uses the proxies that `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` in the environment name, but none for
/// plain HTTP to this machine.
final class Transport: Sendable {
  private let origin: Origin
  private let certificateFile: String?
  private let transfers: TransferThread

  /// - Parameter caFile: PEM certificates to trust instead of the system's; nil for those that `SSL_CERT_FILE` in the
  ///   environment names, if it is set.
  ///
  /// Throws `unreachable` if the system has no memory left.
  init(origin: Origin, caFile: String?) throws(RegistryClientError) {
    self.origin = origin
    let named = ProcessInfo.processInfo.environment["SSL_CERT_FILE"] ?? ""
    certificateFile = caFile ?? (named.isEmpty ? nil : named)
    transfers = try TransferThread()
  }

  deinit { transfers.close() }

  /// Sends a request with these fields and returns any answer. Throws `unreachable`, `untrusted`, `timedOut`,
  /// `answerTooLarge` and `cancelled`.
  func exchange(_ call: Call, fields: [(name: String, value: String)]) async throws(RegistryClientError)
    -> Answer
  {
    guard !Task.isCancelled else { throw .cancelled }
    // The signature covers the body before any coding.
    var fields = fields + [("Accept-Encoding", "identity")]
    if call.body != nil { fields.append(("Content-Type", "application/json")) }
    let transfer = try Transfer(call, to: origin, fields: fields, trusting: certificateFile)
    let deadline = Task { [transfers] in
      guard (try? await Task.sleep(for: .seconds(call.timeoutSeconds))) != nil else { return }
      transfers.abandon(transfer, because: .timedOut(seconds: call.timeoutSeconds))
    }
    defer { deadline.cancel() }
    return try await transfers.run(transfer).get()
  }
}
