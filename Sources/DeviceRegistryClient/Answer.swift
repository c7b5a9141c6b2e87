internal import Foundation

/// A request without signature and token.
struct Call: Sendable {
  var method: String
  /// Path and query, in characters that no URL library rewrites: the URL that is signed must be the URL that is sent.
  var target: String
  /// JSON, or nil.
  var body: Data?
  /// Time limit of the whole exchange.
  var timeoutSeconds = Call.timeoutSeconds
  var maximumAnswerBytes = Call.maximumAnswerBytes
  /// Sends it on a new connection: libcurl repeats a request if a connection that it kept closes without an answer.
  var needsNewConnection = false
  /// The `Idempotency-Key`. Visible ASCII characters.
  var idempotencyKey: String?

  /// Time limit of an answer that the registry does not delay.
  static let timeoutSeconds = 15.0
  /// Above the longest answer of the registry: a signal to ten thousand devices with the state of each.
  static let maximumAnswerBytes = 16 * 1024 * 1024
  /// Of an answer's header section.
  static let maximumHeaderBytes = 64 * 1024
}

/// A complete answer.
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

  /// The seconds of `Retry-After`. A date, which the registry does not send, is ignored.
  var retryAfterSeconds: Int64? { value(of: "retry-after").flatMap { Int64($0) } }

  /// Why the answer is not a success. Call it only for answers that are not.
  var failure: RegistryClientError {
    if (300..<400).contains(status) { return .redirected(status: status) }
    if let problem = Problem(self) {
      return problem.kind == "cursor-expired" ? .cursorExpired(problem) : .problem(problem)
    }
    return .unexpectedAnswer(status: status, retryAfterSeconds: retryAfterSeconds)
  }
}
