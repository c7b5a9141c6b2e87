public import Foundation

// An owner's requests on signals.

extension OwnerClient {
  /// Creates a signal that is delivered for `ttlSeconds` (1 to 604,800; nil means an hour). The payload is a JSON
  /// object of at most 16 KiB. Throws a `problem` with 403, 404 or 409 if a device is another owner's, unknown or
  /// revoked; then nothing is created.
  public func createSignal(
    to recipients: DeviceSelector, payloadJSON: Data, ttlSeconds: Int? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> Signal {
    try await perform(
      .createSignal(to: recipients, payloadJSON: payloadJSON, ttlSeconds: ttlSeconds),
      idempotencyKey: idempotencyKey)
  }

  /// As above, with a value that is encoded as a JSON object.
  public func createSignal(
    to recipients: DeviceSelector, payload: some Encodable, ttlSeconds: Int? = nil,
    idempotencyKey: String? = nil, encoder: JSONEncoder = JSONEncoder()
  ) async throws(RegistryClientError) -> Signal {
    guard let json = try? encoder.encode(payload) else {
      throw .invalidArgument(name: "payload", message: "cannot be written as JSON")
    }
    return try await createSignal(
      to: recipients, payloadJSON: json, ttlSeconds: ttlSeconds, idempotencyKey: idempotencyKey)
  }

  /// Cancels a signal: devices that have not got it do not get it, and others learn it from their next poll. Throws as
  /// `signal` does.
  ///
  /// - Parameter reason: at most 200 characters, for the event.
  @discardableResult
  public func cancelSignal(_ id: String, reason: String? = nil) async throws(RegistryClientError)
    -> SignalCancellation
  {
    try await perform(.cancelSignal(id, reason: reason))
  }

  /// The owner's signals, newest first. Pages are fetched as elements are read.
  public func signals() -> Pages<Signal> {
    Pages(exchange: exchange, target: "\(signalsPath)?limit=\(signalPageSize)")
  }

  /// All signals of the owner.
  public func listSignals() async throws(RegistryClientError) -> [Signal] { try await signals().all() }

  /// One signal, with its delivery to each device. Throws a `problem` with 404 if it does not exist, or 403 if it is
  /// another owner's.
  public func signal(_ id: String) async throws(RegistryClientError) -> SignalDetails {
    let pages = try await signalPages(id).map(\.details)
    return SignalDetails(
      signal: pages[0].signal, payload: pages[0].payload, deliveries: pages.flatMap(\.deliveries))
  }

  /// A signal with a part of its deliveries each, and the same as the registry wrote it; at least one.
  package func signalPages(_ id: String) async throws(RegistryClientError) -> [(
    details: SignalDetails, json: Data
  )] {
    var pages: [(SignalDetails, Data)] = []
    var next: String? = "\(signalsPath)/\(try String.pathID(id))"
    while let target = next {
      let answer = try await exchange.perform(Call(method: "GET", target: target))
      pages.append((try answer.signalDetails(), answer.body))
      next = try Link.next(answer.value(of: "link"), after: target)
    }
    return pages
  }
}

// MARK: - Requests

private let signalsPath = "/api/v1/signals"
private let signalPageSize = 100

extension OwnerRequest<Signal> {
  package static func createSignal(
    to recipients: DeviceSelector, payloadJSON: Data, ttlSeconds: Int?
  ) throws(RegistryClientError) -> Self {
    // Other text could end the member and add further ones.
    guard (try? JSONSerialization.jsonObject(with: payloadJSON)) is [String: Any] else {
      throw .invalidArgument(name: "payload", message: "must be a JSON object in UTF-8")
    }
    var body = Data(#"{"payload":"#.utf8) + payloadJSON
    // The members of another object: the payload keeps its form.
    body += Data(",".utf8) + (try Data.json(recipients, "devices")).dropFirst().dropLast()
    if let ttlSeconds { body += Data(#","ttl_seconds":\#(ttlSeconds)"#.utf8) }
    body += Data("}".utf8)
    return Self("POST", signalsPath, body: body, isCreating: true)
  }
}

extension OwnerRequest<SignalCancellation> {
  package static func cancelSignal(_ id: String, reason: String?) throws(RegistryClientError) -> Self {
    Self("POST", "\(signalsPath)/\(try String.pathID(id))/cancel", body: try .reason(reason))
  }
}
