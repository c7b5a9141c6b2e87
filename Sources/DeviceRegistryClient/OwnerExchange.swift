internal import Encoding
internal import Foundation

/// Sends an owner's requests, each with a token, or requests that need none.
final class OwnerExchange: Sendable {
  private let transport: Transport
  /// Nil for requests without a token.
  private let token: (@Sendable () async throws -> String)?
  private let retries: RetryPolicy
  let system: ClientSystem

  init(
    transport: Transport, token: (@Sendable () async throws -> String)?, retries: RetryPolicy,
    system: ClientSystem
  ) {
    self.transport = transport
    self.token = token
    self.retries = retries
    self.system = system
  }

  /// Sends a request that may be repeated, with retries.
  func perform(_ call: Call) async throws(RegistryClientError) -> Answer {
    try await perform(call) { $0.isTransient }
  }

  /// Sends a request that creates something. With a key, repeating it does nothing again, so it is retried like any
  /// other, with the same key. Throws `invalidArgument` for a malformed key.
  func create(_ call: Call, idempotencyKey: String?) async throws(RegistryClientError) -> Answer {
    guard let idempotencyKey else { return try await performOnceAtMost(call) }
    // A line break would start another header field.
    guard Self.idempotencyKeyLengths.contains(idempotencyKey.utf8.count),
      idempotencyKey.utf8.allSatisfy(\.isVisible)
    else {
      throw .invalidArgument(
        name: "idempotencyKey",
        message: "must be 1 to \(Self.idempotencyKeyLengths.upperBound) visible ASCII characters without spaces"
      )
    }
    var call = call
    call.idempotencyKey = idempotencyKey
    return try await perform(call) { $0.isTransient || $0.isInProgress }
  }

  private static let idempotencyKeyLengths = 1...64

  /// Sends a request without retries.
  func performOnce(_ call: Call) async throws(RegistryClientError) -> Answer { try await attempt(call) }

  /// Waits after a number of failures in a row. Throws `cancelled`.
  func pause(afterFailures failures: Int, retryAfterSeconds: Int64?) async throws(RegistryClientError) {
    try await retries.pause(on: system, afterFailures: failures, retryAfterSeconds: retryAfterSeconds)
  }

  /// Sends a request that must not be repeated: retries only if the registry certainly did nothing.
  private func performOnceAtMost(_ call: Call) async throws(RegistryClientError) -> Answer {
    var call = call
    call.needsNewConnection = true
    return try await perform(call) { $0.isRefusalForNow }
  }

  private func perform(_ call: Call, again: (RegistryClientError) -> Bool) async throws(RegistryClientError)
    -> Answer
  {
    try await retries.repeating(on: system, again: again) { () async throws(RegistryClientError) in
      try await self.attempt(call)
    }
  }

  private func attempt(_ call: Call) async throws(RegistryClientError) -> Answer {
    var fields: [(name: String, value: String)] = []
    if let token { fields.append(("Authorization", "Bearer \(try await Self.text(of: token))")) }
    if let key = call.idempotencyKey { fields.append(("Idempotency-Key", key)) }
    let answer = try await transport.exchange(call, fields: fields)
    guard answer.isSuccess else { throw answer.failure }
    return answer
  }

  private static func text(
    of source: @Sendable () async throws -> String
  ) async throws(RegistryClientError) -> String {
    let token: String
    do {
      token = try await source()
    } catch let error as RegistryClientError {
      throw error
    } catch {
      throw .tokenUnavailable("\(error)")
    }
    // RFC 6750, section 2.1. A line break would start another header field.
    guard !token.isEmpty, token.utf8.allSatisfy(\.isVisible) else {
      throw .invalidArgument(name: "token", message: "must be visible ASCII characters without spaces")
    }
    return token
  }
}
