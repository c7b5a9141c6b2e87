package import Foundation

/// The registry, for the owner of devices, and for administrators of clients.
///
/// Retries requests that fail temporarily, following the `RetryPolicy`, if repeating them is harmless. Registering,
/// rotating and creating a signal or a webhook are not, unless they have an idempotency key: without one, they are
/// retried only if the registry says that it did nothing. After `unreachable`, `timedOut` or a 503 of these, check
/// whether the request took effect.
///
/// An idempotency key is 1 to 64 visible ASCII characters, for example a UUID, that name one request. A request that is
/// repeated with the key within 24 hours, by this library or by its caller, does nothing again. If the answer with a
/// secret is lost, repeating the request throws a `problem` of kind `secret-already-shown`, which has the id of the
/// device or the webhook.
public final class OwnerClient: Sendable {
  let exchange: OwnerExchange

  /// - Parameters:
  ///   - url: scheme, host and port of the registry. `http` only for this machine.
  /// - allowsInsecureHTTP: allows `http` to other machines. Attackers on the network can then take the token.
  /// - caFile: PEM certificates to trust instead of the system's; by default the file that `SSL_CERT_FILE` in the
  ///   environment names, if it is set.
  /// - token: returns the JWT. It is called before each request, so that an expiring token can be renewed.
  ///
  /// Throws `invalidURL`, and `unreachable` if the system has no memory left.
  public init(
    url: String, allowsInsecureHTTP: Bool = false, caFile: String? = nil, retries: RetryPolicy = RetryPolicy(),
    system: ClientSystem = ClientSystem(), token: @escaping @Sendable () async throws -> String
  ) throws(RegistryClientError) {
    let origin = try Origin(url, allowsInsecureHTTP: allowsInsecureHTTP)
    exchange = OwnerExchange(
      transport: try Transport(origin: origin, caFile: caFile), token: token, retries: retries, system: system)
  }

  /// As above, with one token for all requests.
  public convenience init(
    url: String, token: String, allowsInsecureHTTP: Bool = false, caFile: String? = nil,
    retries: RetryPolicy = RetryPolicy(), system: ClientSystem = ClientSystem()
  ) throws(RegistryClientError) {
    try self.init(
      url: url, allowsInsecureHTTP: allowsInsecureHTTP, caFile: caFile, retries: retries, system: system
    ) { token }
  }
}

extension OwnerClient {
  /// As above, with the token in a file that only its owner can read. The file is read before each request, so that an
  /// expiring token can be renewed: replace the file. A pipe is read once. Throws `secretFile`.
  public convenience init(
    url: String, tokenFile: String, allowsInsecureHTTP: Bool = false, caFile: String? = nil,
    retries: RetryPolicy = RetryPolicy(), system: ClientSystem = ClientSystem()
  ) throws(RegistryClientError) {
    let file = try TokenFile(path: tokenFile)
    try self.init(
      url: url, allowsInsecureHTTP: allowsInsecureHTTP, caFile: caFile, retries: retries, system: system
    ) { try file.token() }
  }
}

// MARK: - Requests

/// A request of an owner, and how its answer is read. Each route is written once, as one of these.
package struct OwnerRequest<Value: Sendable>: Sendable {
  let call: Call
  /// Whether repeating it does something again, unless it has an idempotency key.
  let isCreating: Bool
  let read: @Sendable (Answer) throws(RegistryClientError) -> Value

  fileprivate init(
    _ call: Call, isCreating: Bool, read: @escaping @Sendable (Answer) throws(RegistryClientError) -> Value
  ) {
    self.call = call
    self.isCreating = isCreating
    self.read = read
  }
}

extension OwnerRequest where Value: Decodable {
  /// A request that is answered with JSON.
  init(
    _ method: String, _ target: String, body: Data? = nil, isCreating: Bool = false,
    timeoutSeconds: Double = Call.timeoutSeconds
  ) {
    let call = Call(method: method, target: target, body: body, timeoutSeconds: timeoutSeconds)
    self.init(call, isCreating: isCreating) { (answer) throws(RegistryClientError) in try answer.decode() }
  }
}

extension OwnerRequest where Value == Void {
  /// A request that is answered without content.
  init(_ method: String, _ target: String, body: Data? = nil) {
    self.init(Call(method: method, target: target, body: body), isCreating: false) {
      (_) throws(RegistryClientError) in
    }
  }
}

extension OwnerClient {
  func perform<Value>(
    _ request: OwnerRequest<Value>, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> Value {
    try await answer(to: request, idempotencyKey: idempotencyKey).value
  }

  /// What the answer means, and the answer byte for byte.
  package func answer<Value>(
    to request: OwnerRequest<Value>, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> (value: Value, json: Data) {
    let answer =
      request.isCreating
      ? try await exchange.create(request.call, idempotencyKey: idempotencyKey)
      : try await exchange.perform(request.call)
    return (try request.read(answer), answer.body)
  }
}

extension OwnerClient: CustomStringConvertible, CustomReflectable {
  public var description: String { "OwnerClient" }
  /// Without the token.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

extension String {
  /// An id as part of a path. Throws `invalidArgument` if it is not a UUID, because other text could change the path.
  static func pathID(_ id: String) throws(RegistryClientError) -> String {
    guard UUID(uuidString: id) != nil else { throw .invalidArgument(name: "id", message: "must be a UUID") }
    return id.lowercased()
  }
}
