internal import Encoding
package import Foundation

extension Date {
  /// RFC 3339, in UTC with milliseconds.
  package var rfc3339: String {
    String(unsafeUninitializedCapacity: RFC3339.length) { buffer in
      RFC3339.write(millisecondsSince1970: Int64((timeIntervalSince1970 * 1000).rounded()), to: buffer)
      return RFC3339.length
    }
  }
}

extension JSONEncoder {
  /// Writes times in RFC 3339.
  static var registry: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.dateEncodingStrategy = .custom { date, encoder in
      var value = encoder.singleValueContainer()
      try value.encode(date.rfc3339)
    }
    return encoder
  }
}

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

  private static func decode<Value: Decodable>(_ type: Value.Type = Value.self, from json: Data)
    throws(RegistryClientError)
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

  /// The signals of a poll. Throws `malformedAnswer` if the answer as a whole cannot be read.
  func pollResult() throws(RegistryClientError) -> PollResult {
    let text = JSONText(body)
    guard let elements = text.member("signals")?.elements, let serverTime = text.member("server_time") else {
      throw .malformedAnswer("signals or server_time is missing or has the wrong type")
    }
    var signals: [DeviceSignal] = []
    var unreadable: [UnreadableSignal] = []
    for element in elements {
      do throws(RegistryClientError) { signals.append(try Self.signal(element)) } catch {
        let id: String? = element.member("id").flatMap { try? Self.decode(from: Data($0.bytes)) }
        guard case .malformedAnswer(let reason) = error else { throw error }
        unreadable.append(UnreadableSignal(id: id, reason: reason))
      }
    }
    return PollResult(
      signals: signals, unreadable: unreadable, serverTime: try Self.decode(from: Data(serverTime.bytes)),
      retryAfterSeconds: retryAfterSeconds)
  }

  private static func signal(_ text: JSONText) throws(RegistryClientError) -> DeviceSignal {
    struct Members: Decodable {
      let id: String
      let created_at, expires_at: Date
    }
    let members: Members = try decode(from: Data(text.bytes))
    guard let payload = text.payload else {
      throw .malformedAnswer("the payload is missing or not an object")
    }
    guard (try? JSONSerialization.jsonObject(with: payload.json)) != nil else {
      throw .malformedAnswer("the payload has a text or a number that cannot be read")
    }
    return DeviceSignal(
      id: members.id, createdAt: members.created_at, expiresAt: members.expires_at, payload: payload)
  }

  /// A part of the feed of events. Throws `malformedAnswer`.
  func eventPage() throws(RegistryClientError) -> EventPage {
    struct Members: Decodable {
      let events: [RegistryEvent]
      let next: String
    }
    let members = try decode(Members.self)
    guard let texts = JSONText(body).member("events")?.elements, texts.count == members.events.count else {
      throw .malformedAnswer("events is missing or has the wrong type")
    }
    let events = zip(members.events, texts).map { event, text in
      var event = event
      event.json = Data(text.bytes)
      return event
    }
    return EventPage(events: events, next: members.next, retryAfterSeconds: retryAfterSeconds)
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
