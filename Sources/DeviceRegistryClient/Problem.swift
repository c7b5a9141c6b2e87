public import Foundation

/// Why the registry did not do as it was asked, in words (RFC 9457).
public struct Problem: Error, Hashable, Sendable {
  /// A URI that names the kind; it need not lead anywhere.
  public let type: String
  /// The same for every problem of the kind.
  public let title: String
  /// The status code of the answer.
  public let status: Int
  /// What was wrong here and what to do about it.
  public let detail: String
  /// What to name when asking the registry's operator.
  public let requestID: String?
  /// The values that were missing or wrong.
  public let errors: [FieldError]
  /// The registry's time, where the device's clock was the problem.
  public let serverTime: Date?
  /// How long the registry asks to be left alone, in seconds.
  public let retryAfterSeconds: Int64?

  /// A value that was missing or wrong.
  public struct FieldError: Hashable, Sendable, Decodable {
    /// The name of a JSON member or a parameter.
    public let field: String
    /// Completes the sentence that the field begins.
    public let message: String
  }

  /// The kind alone: the last part of the type, `device-name-taken` for instance.
  public var kind: String { type.split(separator: "/").last.map(String.init) ?? type }
}

extension Problem {
  static let contentType = "application/problem+json"

  /// Reads a problem document; nil where the answer is none. RFC 9457, section 3.1: every member may be missing, and
  /// one of another type than it should have is as good as missing.
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
  }

  private struct Members: Decodable {
    let type, title, detail, requestID: String?
    let errors: [FieldError]?
    let serverTime: Date?

    enum CodingKeys: String, CodingKey {
      case type, title, detail, errors
      case requestID = "request_id"
      case serverTime = "server_time"
    }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      type = try? members.decode(String.self, forKey: .type)
      title = try? members.decode(String.self, forKey: .title)
      detail = try? members.decode(String.self, forKey: .detail)
      requestID = try? members.decode(String.self, forKey: .requestID)
      errors = try? members.decode([FieldError].self, forKey: .errors)
      serverTime = try? members.decode(Date.self, forKey: .serverTime)
    }
  }
}

extension Problem: CustomStringConvertible {
  /// For people. Not every problem is signed, so what could steer a terminal is left out.
  public var description: String {
    var text = "\(status) \(kind): \(detail.isEmpty ? title : detail)"
    for error in errors { text += "; \(error.field) \(error.message)" }
    if let requestID { text += " (request \(requestID))" }
    return String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) })
  }
}
