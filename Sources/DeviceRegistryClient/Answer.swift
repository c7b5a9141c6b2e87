internal import Foundation

/// A request before it is signed or shown a token.
struct Call: Sendable {
  var method: String
  /// Path and query, in characters that no URL library rewrites: what is signed is what is sent.
  var target: String
  /// JSON, or nothing.
  var body: Data?
  /// How long the whole exchange may take.
  var timeoutSeconds = Call.timeoutSeconds
  var maximumAnswerBytes = Call.maximumAnswerBytes

  /// How long an answer may take that does not wait for anything.
  static let timeoutSeconds = 15.0
  /// More than the longest answer of the registry: a signal to ten thousand devices with the state of each.
  static let maximumAnswerBytes = 16 * 1024 * 1024
}

/// A whole answer.
struct Answer: Sendable {
  let status: Int
  /// By name in lower case.
  let fields: [String: String]
  let body: Data

  var isSuccess: Bool { (200..<300).contains(status) }

  func value(of name: String) -> String? { fields[name] }

  /// The media type without its parameters, in lower case.
  var mediaType: String? {
    value(of: "content-type")?.split(separator: ";").first?.trimmingCharacters(in: .whitespaces).lowercased()
  }

  /// The seconds of `Retry-After`. A date, which the registry does not send, counts as none.
  var retryAfterSeconds: Int64? { value(of: "retry-after").flatMap { Int64($0) } }

  /// Why the answer is no success. Only for those that are none.
  var failure: RegistryClientError {
    if (300..<400).contains(status) { return .redirected(status: status) }
    if let problem = Problem(self) { return .problem(problem) }
    return .unexpectedAnswer(status: status, retryAfterSeconds: retryAfterSeconds)
  }
}
