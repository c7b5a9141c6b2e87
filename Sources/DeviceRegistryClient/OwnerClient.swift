public import Foundation

/// The registry, as the owner of devices uses it.
///
/// Requests that fail for the moment are made again, as the `RetryPolicy` says, where twice does no harm. To register,
/// to rotate and to create a signal are not among them: those are made again only where the registry says that it did
/// not begin. After `unreachable`, `timedOut` or a 503 of theirs, look whether it was done.
public final class OwnerClient: Sendable {
  let exchange: OwnerExchange

  /// Devices or signals that the registry is asked for at a time.
  static let devicePageSize = 1000
  static let signalPageSize = 100

  /// - Parameters:
  ///   - url: scheme, host and port of the registry. `http` only for this machine.
  ///   - allowsInsecureHTTP: `http` for other machines too. Whoever is on the way can then take the token.
  ///   - token: gives the JWT to show. It is asked before each request, so that a token that expires can be renewed.
  ///
  /// Throws `invalidURL`.
  public init(
    url: String, allowsInsecureHTTP: Bool = false, retries: RetryPolicy = RetryPolicy(),
    system: ClientSystem = ClientSystem(), token: @escaping @Sendable () async throws -> String
  ) throws(RegistryClientError) {
    exchange = OwnerExchange(
      transport: Transport(origin: try Origin(url, allowsInsecureHTTP: allowsInsecureHTTP)), token: token,
      retries: retries, system: system)
  }

  /// As above, with one token for all requests.
  public convenience init(
    url: String, token: String, allowsInsecureHTTP: Bool = false, retries: RetryPolicy = RetryPolicy(),
    system: ClientSystem = ClientSystem()
  ) throws(RegistryClientError) {
    try self.init(url: url, allowsInsecureHTTP: allowsInsecureHTTP, retries: retries, system: system) { token }
  }
}

// MARK: - Devices

extension OwnerClient {
  /// Registers a device. The answer shows its secret, this once. Throws a `problem` of kind `device-name-taken` where
  /// another of the owner's devices has the name, and `too-many-devices`.
  public func register(name: String) async throws(RegistryClientError) -> RegisteredDevice {
    struct Body: Encodable { let device_name: String }
    let call = Call(method: "POST", target: "/api/v1/devices", body: try .json(Body(device_name: name), "name"))
    return try await exchange.performOnceAtMost(call).decode()
  }

  /// The owner's devices, active and revoked, oldest first, fetched page by page as they are asked for.
  public func devices() -> Pages<Device> {
    Pages(exchange: exchange, target: "/api/v1/devices?limit=\(Self.devicePageSize)")
  }

  /// The owner's devices, all at once.
  public func listDevices() async throws(RegistryClientError) -> [Device] { try await devices().all() }

  /// One device. Throws a `problem` with 404 or 403 where there is none or it is another owner's.
  public func device(_ id: String) async throws(RegistryClientError) -> Device {
    try await exchange.perform(Call(method: "GET", target: try .device(id))).decode()
  }

  /// Gives a device another name. Throws as `register` and `device` do, and a `problem` with 409 for a revoked one.
  @discardableResult
  public func rename(_ id: String, to name: String) async throws(RegistryClientError) -> Device {
    struct Body: Encodable { let device_name: String }
    let body = try Data.json(Body(device_name: name), "name")
    return try await exchange.perform(Call(method: "PATCH", target: try .device(id), body: body)).decode()
  }

  /// Cuts a device off, for good. Again does no harm. Throws as `device` does.
  public func revoke(_ id: String) async throws(RegistryClientError) {
    _ = try await exchange.perform(Call(method: "POST", target: try .device(id) + "/revoke"))
  }

  /// Gives a device a new secret. The old one works until the new one is first used, at most `graceSeconds` (0 to
  /// 86,400; a day where nil). Throws as `rename` does.
  public func rotate(_ id: String, graceSeconds: Int? = nil) async throws(RegistryClientError)
    -> RegisteredDevice
  {
    struct Body: Encodable { let grace_seconds: Int }
    var call = Call(method: "POST", target: try .device(id) + "/rotate")
    if let graceSeconds { call.body = try .json(Body(grace_seconds: graceSeconds), "graceSeconds") }
    return try await exchange.performOnceAtMost(call).decode()
  }
}

// MARK: - Signals

extension OwnerClient {
  /// Creates a signal. It is handed out for `ttlSeconds` (1 to 604,800; an hour where nil). The payload is a JSON
  /// object of 16 KiB at most. Throws a `problem` with 403, 404 or 409 for a device that is another owner's, unknown
  /// or revoked; then nothing is created.
  public func createSignal(to recipients: SignalRecipients, payloadJSON: Data, ttlSeconds: Int? = nil)
    async throws(RegistryClientError) -> Signal
  {
    // Anything else could close the member that it is put into, and go on with others.
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
    return try await exchange.performOnceAtMost(call).decode()
  }

  /// As above, with a value that is encoded as a JSON object.
  public func createSignal(
    to recipients: SignalRecipients, payload: some Encodable, ttlSeconds: Int? = nil,
    encoder: JSONEncoder = JSONEncoder()
  ) async throws(RegistryClientError) -> Signal {
    guard let json = try? encoder.encode(payload) else {
      throw .invalidArgument(name: "payload", message: "cannot be written as JSON")
    }
    return try await createSignal(to: recipients, payloadJSON: json, ttlSeconds: ttlSeconds)
  }

  /// The owner's signals, newest first, fetched page by page as they are asked for.
  public func signals() -> Pages<Signal> {
    Pages(exchange: exchange, target: "/api/v1/signals?limit=\(Self.signalPageSize)")
  }

  /// The owner's signals, all at once.
  public func listSignals() async throws(RegistryClientError) -> [Signal] { try await signals().all() }

  /// One signal, with what became of it at each device. Throws a `problem` with 404 or 403 where there is none or it
  /// is another owner's.
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

  /// An id as part of a path. Throws `invalidArgument` for what is no UUID, which could lead elsewhere.
  fileprivate static func pathID(_ id: String) throws(RegistryClientError) -> String {
    guard UUID(uuidString: id) != nil else { throw .invalidArgument(name: "id", message: "must be a UUID") }
    return id.lowercased()
  }
}
