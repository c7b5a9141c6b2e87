package import Foundation

/// The registry, for a device: signs every request with the device's secret, and verifies the signature of every
/// answer before using it.
///
///     let device = try DeviceClient(
///       url: "https://registry.example.com",
///       credentials: DeviceCredentials(id: id, secretFile: "/etc/ea/secret"))
///     for try await signal in device.signals() {
///       let order = try signal.payload.decode(as: Order.self)
///       try await device.acknowledge([Acknowledgement(signalID: signal.id, status: .placed)])
///     }
///
/// Retries requests that fail temporarily, following the `RetryPolicy`, with a new signature each time. Any task may
/// call; requests run concurrently.
public final class DeviceClient: Sendable {
  /// The device's id.
  public let id: String
  /// The name of this run of the program, if it takes the lease on the device.
  public let instance: String?
  let exchange: SignedExchange
  let system: ClientSystem

  /// Seconds that a poll may wait.
  public static let waits = 0...30
  /// Signals that a poll may return.
  public static let signalCounts = 1...100
  /// Acknowledgements in one request.
  public static let maximumAcknowledgements = 100

  /// - Parameters:
  ///   - url: scheme, host and port of the registry. `http` only for this machine.
  ///   - instance: a name for this run of the program: 8 to 64 of `A-Z a-z 0-9 - _`, for example `newInstance()`. Its polls
  ///     take the lease on the device; polls of another instance throw a `problem` of kind `device-in-use` then.
  ///   - allowsInsecureHTTP: allows `http` to other machines. Attackers on the network can then read signals and delay
  ///     requests, but not create any.
  ///   - caFile: PEM certificates to trust instead of the system's; by default the file that `SSL_CERT_FILE` in the
  ///     environment names, if it is set.
  ///
  /// Throws `invalidURL`, `invalidArgument` for a malformed instance, and `unreachable` if the system has no memory left.
  public init(
    url: String, credentials: DeviceCredentials, instance: String? = nil, allowsInsecureHTTP: Bool = false,
    caFile: String? = nil, retries: RetryPolicy = RetryPolicy(), system: ClientSystem = ClientSystem()
  ) throws(RegistryClientError) {
    let origin = try Origin(url, allowsInsecureHTTP: allowsInsecureHTTP)
    // Other text could change the query.
    if let instance, instance.wholeMatch(of: /[A-Za-z0-9_-]{8,64}/) == nil {
      throw .invalidArgument(name: "instance", message: "must have 8 to 64 characters of A-Z a-z 0-9 - _")
    }
    self.instance = instance
    id = credentials.id
    self.system = system
    exchange = SignedExchange(
      origin: origin, transport: try Transport(origin: origin, caFile: caFile), credentials: credentials,
      retries: retries, system: system)
  }

  /// The device as the registry knows it, and the registry's time.
  public func whoami() async throws(RegistryClientError) -> DeviceStatus {
    try await exchange.perform(.whoami).decode()
  }

  /// The signals that are neither acknowledged nor expired, oldest first, at most `max` of them. If there are none,
  /// the registry waits up to `wait` seconds for one. Throws `invalidArgument` for numbers out of bounds.
  ///
  /// With an instance, the poll takes the lease on the device or renews it. Throws a `problem` of kind `device-in-use` if
  /// another instance has it.
  ///
  /// - Parameter takesOver: takes the lease from another instance, whose polls are refused from then on.
  public func poll(
    wait: Int = 0, max: Int = signalCounts.upperBound, takesOver: Bool = false
  ) async throws(RegistryClientError) -> PollResult {
    try await exchange.perform(pollCall(wait: wait, max: max, takesOver: takesOver)).pollResult()
  }

  func pollCall(wait: Int, max: Int, takesOver: Bool) throws(RegistryClientError) -> Call {
    guard !takesOver || instance != nil else {
      throw .invalidArgument(name: "takesOver", message: "needs a client with an instance")
    }
    return try .poll(wait: wait, max: max, instance: instance, takesOver: takesOver)
  }

  /// Acknowledges at most 100 signals. Only the first acknowledgement of a signal counts; repeating it has no effect.
  /// Throws `invalidArgument` for more.
  @discardableResult
  public func acknowledge(_ acknowledgements: [Acknowledgement]) async throws(RegistryClientError)
    -> AcknowledgementResult
  {
    try await exchange.perform(.acknowledge(acknowledgements)).decode()
  }
}

/// The same calls, with the verified answer as JSON text for a program that prints it.
extension DeviceClient {
  package func whoamiJSON() async throws(RegistryClientError) -> Data {
    try await exchange.perform(.whoami).body
  }

  package func pollJSON(wait: Int, max: Int) async throws(RegistryClientError) -> Data {
    try await exchange.perform(pollCall(wait: wait, max: max, takesOver: false)).body
  }

  package func acknowledgeJSON(_ acknowledgements: [Acknowledgement]) async throws(RegistryClientError) -> Data
  {
    try await exchange.perform(.acknowledge(acknowledgements)).body
  }
}

extension Call {
  fileprivate static let whoami = Call(method: "GET", target: "/api/v1/device")

  fileprivate static func poll(
    wait: Int, max: Int, instance: String?, takesOver: Bool
  ) throws(RegistryClientError) -> Call {
    guard DeviceClient.waits.contains(wait) else { throw .outOfBounds("wait", DeviceClient.waits) }
    guard DeviceClient.signalCounts.contains(max) else { throw .outOfBounds("max", DeviceClient.signalCounts) }
    let lease = instance.map { "&instance=\($0)" + (takesOver ? "&takeover=1" : "") } ?? ""
    return Call(
      method: "GET", target: "/api/v1/device/poll?wait=\(wait)&max=\(max)\(lease)",
      timeoutSeconds: Double(wait) + timeoutSeconds)
  }

  fileprivate static func acknowledge(_ acknowledgements: [Acknowledgement]) throws(RegistryClientError) -> Call
  {
    struct Body: Encodable { let acks: [Acknowledgement] }
    guard acknowledgements.count <= DeviceClient.maximumAcknowledgements else {
      throw .outOfBounds("the number of acknowledgements", 0...DeviceClient.maximumAcknowledgements)
    }
    return Call(
      method: "POST", target: "/api/v1/device/ack",
      body: try .json(Body(acks: acknowledgements), "acknowledgements"))
  }
}

extension RegistryClientError {
  static func outOfBounds(_ name: String, _ bounds: ClosedRange<Int>) -> RegistryClientError {
    .invalidArgument(name: name, message: "must be from \(bounds.lowerBound) to \(bounds.upperBound)")
  }
}

extension Data? {
  /// A body with a reason; nil without one.
  static func reason(_ reason: String?) throws(RegistryClientError) -> Data? {
    guard let reason else { return nil }
    return try .json(["reason": reason], "reason")
  }
}

extension Data {
  /// The JSON of a value. Throws `invalidArgument` if it cannot be encoded, for example NaN.
  static func json(_ value: some Encodable, _ name: String) throws(RegistryClientError) -> Data {
    do {
      return try JSONEncoder.registry.encode(value)
    } catch {
      throw .invalidArgument(name: name, message: "cannot be written as JSON")
    }
  }
}
