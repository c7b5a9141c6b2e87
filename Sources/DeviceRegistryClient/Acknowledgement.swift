/// What a device did with a signal.
public struct Acknowledgement: Encodable, Hashable, Sendable {
  public var signalID: String
  public var status: Status
  /// The broker's number of the order.
  public var brokerTicket: String?
  /// Why the order was not placed.
  public var error: String?

  public enum Status: String, Codable, Hashable, Sendable, CaseIterable {
    case placed, failed, skipped
  }

  public init(signalID: String, status: Status, brokerTicket: String? = nil, error: String? = nil) {
    self.signalID = signalID
    self.status = status
    self.brokerTicket = brokerTicket
    self.error = error
  }

  enum CodingKeys: String, CodingKey {
    case status, error
    case signalID = "signal_id"
    case brokerTicket = "broker_ticket"
  }
}

/// The registry's answer to acknowledgements.
public struct AcknowledgementResult: Decodable, Hashable, Sendable {
  /// Ids of signals that are acknowledged, by this request or an earlier one.
  public let acknowledged: [String]
  /// Ids of signals that are not this device's.
  public let unknown: [String]

  enum CodingKeys: String, CodingKey {
    case acknowledged = "acked"
    case unknown
  }
}
