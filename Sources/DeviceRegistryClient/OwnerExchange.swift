internal import Encoding
internal import Foundation

/// Sends an owner's requests, each with a token.
final class OwnerExchange: Sendable {
  private let transport: Transport
  private let token: @Sendable () async throws -> String
  private let retries: RetryPolicy
  private let system: ClientSystem

  init(
    transport: Transport, token: @escaping @Sendable () async throws -> String, retries: RetryPolicy,
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

  /// Sends a request that must not be repeated: retries only if the registry certainly did nothing.
  func performOnceAtMost(_ call: Call) async throws(RegistryClientError) -> Answer {
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
    let token: String
    do { token = try await self.token() } catch { throw .tokenUnavailable("\(error)") }
    // RFC 6750, section 2.1. A line break would start another header field.
    guard !token.isEmpty, token.utf8.allSatisfy(\.isVisible) else {
      throw .invalidArgument(name: "token", message: "must be visible ASCII characters without spaces")
    }
    let answer = try await transport.exchange(call, fields: [("Authorization", "Bearer \(token)")])
    guard answer.isSuccess else { throw answer.failure }
    return answer
  }
}
