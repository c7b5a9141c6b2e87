public import Foundation

/// The registry, for the owner of devices.
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

  /// Devices or signals per page.
  static let devicePageSize = 1000
  static let signalPageSize = 100

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

// MARK: - Devices

extension OwnerClient {
  /// Registers a device and returns it with its secret, which is shown only once. Throws a `problem` of kind
  /// `device-name-taken` if another device of the owner has this name, or `too-many-devices`.
  public func register(
    name: String, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> RegisteredDevice {
    struct Body: Encodable { let device_name: String }
    let call = Call(method: "POST", target: "/api/v1/devices", body: try .json(Body(device_name: name), "name"))
    return try await exchange.create(call, idempotencyKey: idempotencyKey).decode()
  }

  /// The owner's devices, active and revoked, oldest first. Pages are fetched as elements are read.
  public func devices() -> Pages<Device> {
    Pages(exchange: exchange, target: "/api/v1/devices?limit=\(Self.devicePageSize)")
  }

  /// All devices of the owner.
  public func listDevices() async throws(RegistryClientError) -> [Device] { try await devices().all() }

  /// One device. Throws a `problem` with 404 if it does not exist, or 403 if it is another owner's.
  public func device(_ id: String) async throws(RegistryClientError) -> Device {
    try await exchange.perform(Call(method: "GET", target: try .device(id))).decode()
  }

  /// Renames a device. Throws as `register` and `device` do, and a `problem` with 409 for a revoked device.
  @discardableResult
  public func rename(_ id: String, to name: String) async throws(RegistryClientError) -> Device {
    struct Body: Encodable { let device_name: String }
    let body = try Data.json(Body(device_name: name), "name")
    return try await exchange.perform(Call(method: "PATCH", target: try .device(id), body: body)).decode()
  }

  /// Revokes a device, which is final. Repeating it has no effect. Throws as `device` does.
  public func revoke(_ id: String) async throws(RegistryClientError) {
    _ = try await exchange.perform(Call(method: "POST", target: try .device(id) + "/revoke"))
  }

  /// Gives a device a new secret. The old one works until the new one is first used, at most `graceSeconds` (0 to
  /// 86,400; nil means a day). Throws as `rename` does.
  public func rotate(
    _ id: String, graceSeconds: Int? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> RegisteredDevice {
    struct Body: Encodable { let grace_seconds: Int }
    var call = Call(method: "POST", target: try .device(id) + "/rotate")
    if let graceSeconds { call.body = try .json(Body(grace_seconds: graceSeconds), "graceSeconds") }
    return try await exchange.create(call, idempotencyKey: idempotencyKey).decode()
  }
}

// MARK: - Signals

extension OwnerClient {
  /// Creates a signal that is delivered for `ttlSeconds` (1 to 604,800; nil means an hour). The payload is a JSON
  /// object of at most 16 KiB. Throws a `problem` with 403, 404 or 409 if a device is another owner's, unknown or
  /// revoked; then nothing is created.
  public func createSignal(
    to recipients: SignalRecipients, payloadJSON: Data, ttlSeconds: Int? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> Signal {
    // Other text could end the member and add further ones.
    guard (try? JSONSerialization.jsonObject(with: payloadJSON)) is [String: Any] else {
      throw .invalidArgument(name: "payload", message: "must be a JSON object in UTF-8")
    }
    var body = Data(#"{"payload":"#.utf8) + payloadJSON
    switch recipients {
    case .all: body += Data(#","all":true"#.utf8)
    case .devices(let ids): body += Data(#","device_ids":"#.utf8) + (try Data.json(ids, "devices"))
    }
    if let ttlSeconds { body += Data(#","ttl_seconds":\#(ttlSeconds)"#.utf8) }
    body += Data("}".utf8)
    let call = Call(method: "POST", target: "/api/v1/signals", body: body)
    return try await exchange.create(call, idempotencyKey: idempotencyKey).decode()
  }

  /// As above, with a value that is encoded as a JSON object.
  public func createSignal(
    to recipients: SignalRecipients, payload: some Encodable, ttlSeconds: Int? = nil,
    idempotencyKey: String? = nil, encoder: JSONEncoder = JSONEncoder()
  ) async throws(RegistryClientError) -> Signal {
    guard let json = try? encoder.encode(payload) else {
      throw .invalidArgument(name: "payload", message: "cannot be written as JSON")
    }
    return try await createSignal(
      to: recipients, payloadJSON: json, ttlSeconds: ttlSeconds, idempotencyKey: idempotencyKey)
  }

  /// The owner's signals, newest first. Pages are fetched as elements are read.
  public func signals() -> Pages<Signal> {
    Pages(exchange: exchange, target: "/api/v1/signals?limit=\(Self.signalPageSize)")
  }

  /// All signals of the owner.
  public func listSignals() async throws(RegistryClientError) -> [Signal] { try await signals().all() }

  /// One signal, with its delivery to each device. Throws a `problem` with 404 if it does not exist, or 403 if it is
  /// another owner's.
  public func signal(_ id: String) async throws(RegistryClientError) -> SignalDetails {
    try await exchange.perform(Call(method: "GET", target: "/api/v1/signals/" + (try .pathID(id))))
      .signalDetails()
  }
}

extension OwnerClient: CustomStringConvertible, CustomReflectable {
  public var description: String { "OwnerClient" }
  /// Without the token.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

extension String {
  fileprivate static func device(_ id: String) throws(RegistryClientError) -> String {
    "/api/v1/devices/" + (try pathID(id))
  }

  /// An id as part of a path. Throws `invalidArgument` if it is not a UUID, because other text could change the path.
  static func pathID(_ id: String) throws(RegistryClientError) -> String {
    guard UUID(uuidString: id) != nil else { throw .invalidArgument(name: "id", message: "must be a UUID") }
    return id.lowercased()
  }
}
