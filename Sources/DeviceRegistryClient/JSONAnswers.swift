internal import Foundation

extension JSONDecoder {
  /// Reads times in RFC 3339, and ignores unknown members.
  static var registry: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .custom { decoder in
      let container = try decoder.singleValueContainer()
      let text = try container.decode(String.self)
      let formats = [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()]
      guard let date = formats.lazy.compactMap({ try? Date(text, strategy: $0) }).first else {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time of RFC 3339")
      }
      return date
    }
    return decoder
  }
}

extension Answer {
  /// The body as a value. Throws `malformedAnswer`.
  func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws(RegistryClientError) -> Value {
    try Self.decode(type, from: body)
  }

  private static func decode<Value: Decodable>(_ type: Value.Type, from json: Data) throws(RegistryClientError)
    -> Value
  {
    do {
      return try JSONDecoder.registry.decode(type, from: json)
    } catch let error as DecodingError {
      throw .malformedAnswer(text(error))
    } catch {
      throw .malformedAnswer("it cannot be read")
    }
  }

  /// Only the place: the value may be a secret.
  private static func text(_ error: DecodingError) -> String {
    let path =
      switch error {
      case .keyNotFound(let key, let context): context.codingPath + [key]
      case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
        context.codingPath
      @unknown default: [any CodingKey]()
      }
    let place = path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    return place.isEmpty ? "it is not the expected JSON" : "\(place) is missing or has the wrong type"
  }

  /// The signals of a poll. Throws `malformedAnswer`.
  func pollResult() throws(RegistryClientError) -> PollResult {
    struct Members: Decodable {
      let signals: [Member]
      let server_time: Date
      struct Member: Decodable {
        let id: String
        let created_at, expires_at: Date
      }
    }
    let members = try decode(Members.self)
    let payloads = JSONText(body).member("signals").map { $0.elements.map(\.payload) } ?? []
    guard payloads.count == members.signals.count else {
      throw .malformedAnswer("its list of signals cannot be read")
    }
    var signals: [DeviceSignal] = []
    for (member, payload) in zip(members.signals, payloads) {
      guard let payload else { throw .malformedAnswer("the payload of a signal is missing or not an object") }
      signals.append(
        DeviceSignal(
          id: member.id, createdAt: member.created_at, expiresAt: member.expires_at, payload: payload))
    }
    return PollResult(signals: signals, serverTime: members.server_time, retryAfterSeconds: retryAfterSeconds)
  }

  /// A signal with its payload and deliveries. Throws `malformedAnswer`.
  func signalDetails() throws(RegistryClientError) -> SignalDetails {
    struct Members: Decodable { let deliveries: [SignalDelivery] }
    let signal = try decode(Signal.self)
    let deliveries = try decode(Members.self).deliveries
    guard let payload = JSONText(body).payload else {
      throw .malformedAnswer("the payload is missing or not an object")
    }
    return SignalDetails(signal: signal, payload: payload, deliveries: deliveries)
  }
}

extension JSONText {
  /// The member `payload`, if it is an object.
  fileprivate var payload: SignalPayload? {
    guard let payload = member("payload"), payload.bytes.first == UInt8(ascii: "{") else { return nil }
    return SignalPayload(json: Data(payload.bytes))
  }
}
