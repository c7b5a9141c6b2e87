public import Foundation

/// Why the registry refused a request (RFC 9457).
public struct Problem: Error, Hashable, Sendable {
  /// A URI that names the kind of problem.
  public let type: String
  /// The same for every problem of the kind.
  public let title: String
  /// The status code of the answer.
  public let status: Int
  /// What was wrong here and what to do about it.
  public let detail: String
  /// The id to give to the registry's operator.
  public let requestID: String?
  /// The values that were missing or wrong.
  public let errors: [FieldError]
  /// The registry's time, if the device's clock was wrong.
  public let serverTime: Date?
  /// The seconds to wait before the next request.
  public let retryAfterSeconds: Int64?
  /// When the suspension of the device ends, with `device-suspended`; nil if it ends when the owner resumes the device.
  public let until: Date?
  /// When another instance took the lease, with `device-in-use`.
  public let since: Date?
  /// When that instance last polled.
  public let lastPoll: Date?
  /// The device whose secret an earlier request with the same idempotency key was answered with.
  public let deviceID: String?
  /// The same, for a webhook.
  public let webhookID: String?

  /// A value that was missing or wrong.
  public struct FieldError: Hashable, Sendable, Decodable {
    /// The name of a JSON member or a parameter.
    public let field: String
    /// Completes the sentence that the field begins.
    public let message: String
  }

  /// The last part of the type, for example `device-name-taken`.
  public var kind: String { type.split(separator: "/").last.map(String.init) ?? type }
}

extension Problem {
  static let contentType = "application/problem+json"

  /// Reads a problem document; nil if the answer is not one. RFC 9457, section 3.1: every member may be missing, and a
  /// member of the wrong type counts as missing.
  init?(_ answer: Answer) {
    guard answer.mediaType == Self.contentType,
      let members = try? JSONDecoder.registry.decode(Members.self, from: answer.body)
    else { return nil }
    type = members.type ?? "about:blank"
    title = members.title ?? ""
    status = answer.status
    detail = members.detail ?? ""
    requestID = members.requestID ?? answer.value(of: "x-request-id")
    errors = members.errors ?? []
    serverTime = members.serverTime
    retryAfterSeconds = answer.retryAfterSeconds
    until = members.until
    since = members.since
    lastPoll = members.lastPoll
    deviceID = members.deviceID
    webhookID = members.webhookID
  }

  private struct Members: Decodable {
    let type, title, detail, requestID, deviceID, webhookID: String?
    let errors: [FieldError]?
    let serverTime, until, since, lastPoll: Date?

    enum CodingKeys: String, CodingKey {
      case type, title, detail, errors, until, since
      case lastPoll = "last_poll"
      case requestID = "request_id"
      case deviceID = "device_id"
      case webhookID = "webhook_id"
      case serverTime = "server_time"
    }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      type = try? members.decode(String.self, forKey: .type)
      title = try? members.decode(String.self, forKey: .title)
      detail = try? members.decode(String.self, forKey: .detail)
      requestID = try? members.decode(String.self, forKey: .requestID)
      deviceID = try? members.decode(String.self, forKey: .deviceID)
      webhookID = try? members.decode(String.self, forKey: .webhookID)
      errors = try? members.decode([FieldError].self, forKey: .errors)
      serverTime = try? members.decode(Date.self, forKey: .serverTime)
      until = try? members.decode(Date.self, forKey: .until)
      since = try? members.decode(Date.self, forKey: .since)
      lastPoll = try? members.decode(Date.self, forKey: .lastPoll)
    }
  }
}

extension Problem: CustomStringConvertible {
  /// For people. Not every problem is signed, so characters that could control a terminal are removed.
  public var description: String {
    var text = "\(status) \(kind): \(detail.isEmpty ? title : detail)"
    for error in errors { text += "; \(error.field) \(error.message)" }
    if let requestID { text += " (request \(requestID))" }
    return String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) })
  }
}
