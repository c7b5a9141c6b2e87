/// One attempt to deliver an event, in the log of its webhook.
public struct WebhookDelivery: Hashable, Sendable {
  public let eventID: EventID
  public let eventType: String
  /// 1 for the first attempt at the event.
  public let attempt: Int
  /// When it began.
  public let at: Timestamp
  public let durationMilliseconds: Int
  public let outcome: DeliveryOutcome

  public init(
    eventID: EventID, eventType: String, attempt: Int, at: Timestamp, durationMilliseconds: Int,
    outcome: DeliveryOutcome
  ) {
    self.eventID = eventID
    self.eventType = eventType
    self.attempt = attempt
    self.at = at
    self.durationMilliseconds = durationMilliseconds
    self.outcome = outcome
  }

  /// Deliveries that the log of a webhook keeps.
  public static let maximumKept = 1000
  /// How long the log keeps a delivery.
  public static let retentionDays = 30
}

/// What became of an attempt.
public enum DeliveryOutcome: Hashable, Sendable {
  /// The receiver answered.
  /// - Parameter excerpt: the beginning of the answer's content.
  case answered(status: Int, excerpt: String)
  /// There was no answer, for a reason that names no address.
  case unanswered(reason: String)

  /// Bytes of an answer that the log keeps.
  public static let maximumExcerptBytes = 200
  /// Bytes of a reason that the log keeps.
  public static let maximumReasonBytes = 200

  /// Any 2xx status means that the receiver took the event.
  public var isSuccess: Bool { if case .answered(200..<300, _) = self { true } else { false } }
  /// 410 Gone: the receiver wants no more (Standard Webhooks, "Event deliverability").
  public var isGone: Bool { if case .answered(410, _) = self { true } else { false } }

  public var status: Int? { if case .answered(let status, _) = self { status } else { nil } }
  public var excerpt: String? { if case .answered(_, let excerpt) = self { excerpt } else { nil } }
  public var reason: String? { if case .unanswered(let reason) = self { reason } else { nil } }

  /// What a store read.
  public init(status: Int?, excerpt: String?, reason: String?) {
    self = status.map { .answered(status: $0, excerpt: excerpt ?? "") } ?? .unanswered(reason: reason ?? "")
  }

  /// An answer, of whose content the first bytes are kept: as UTF-8, and without the zero bytes that databases refuse.
  public init(status: Int, content: [UInt8]) {
    let text = String(decoding: content.prefix(Self.maximumExcerptBytes).filter { $0 != 0 }, as: UTF8.self)
    self = .answered(status: status, excerpt: text)
  }
}

/// A delivery with its number: the last row of a page; the next page starts after it.
public struct LoggedDelivery: Hashable, Sendable {
  /// Counts the webhook's deliveries from 1.
  public let number: Int64
  public let delivery: WebhookDelivery

  public init(number: Int64, delivery: WebhookDelivery) {
    self.number = number
    self.delivery = delivery
  }
}

/// Where a page of a webhook's log begins: after the delivery with this number.
public struct DeliveryCursor: Hashable, Sendable {
  public let number: Int64

  public init(number: Int64) { self.number = number }
}
