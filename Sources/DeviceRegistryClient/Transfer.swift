internal import CCurl
internal import Curl
internal import Foundation

/// One request and its answer.
///
/// `@unchecked Sendable`: a task makes it, and then only its `TransferThread` uses it.
final class Transfer: @unchecked Sendable {
  typealias Outcome = Result<Answer, RegistryClientError>

  private let exchange: CurlExchange
  /// libcurl writes a sentence here when the transfer fails.
  private let reason: UnsafeMutablePointer<CChar>

  private var continuation: CheckedContinuation<Outcome, Never>?
  /// The outcome of a transfer that has ended.
  private var ending: Outcome?

  var curl: UnsafeMutableRawPointer { exchange.handle }

  /// Throws `unreachable` if the system has no memory left.
  init(
    _ call: Call, to origin: Origin, fields: [(name: String, value: String)], trusting certificateFile: String?
  ) throws(RegistryClientError) {
    let bounds = CurlExchange.Bounds(
      headerBytes: Call.maximumHeaderBytes, contentBytes: call.maximumAnswerBytes)
    guard let exchange = CurlExchange(bounds) else { throw .unreachable("no memory for a request") }
    self.exchange = exchange
    reason = .allocate(capacity: Int(CURL_ERROR_SIZE))
    reason.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    let settings =
      exchange.set(
        url: origin.url(call.target), schemes: origin.scheme, userAgent: "device-registry-client",
        certificateFile: certificateFile) + ownSettings(call, origin, fields)
    guard let failure = settings.first(where: { $0 != CURLE_OK }) else { return }
    throw .unreachable(String(cString: curl_easy_strerror(failure)))
  }

  deinit {
    // `exchange` is released later, and libcurl may write while it closes a connection.
    _ = curl_set_pointer(curl, CURLOPT_ERRORBUFFER, nil)
    reason.deallocate()
  }

  /// False if the transfer was abandoned before it began.
  func begin(_ continuation: CheckedContinuation<Outcome, Never>) -> Bool {
    if let ending {
      continuation.resume(returning: ending)
      return false
    }
    self.continuation = continuation
    return true
  }

  /// The first outcome counts.
  func end(_ outcome: Outcome) {
    guard ending == nil else { return }
    ending = outcome
    continuation?.resume(returning: outcome)
    continuation = nil
  }

  /// Translates libcurl's result.
  func outcome(_ status: CURLcode) -> Outcome {
    if let exceeded = exchange.exceededBytes { return .failure(.answerTooLarge(limitBytes: exceeded)) }
    guard exchange.isComplete(status) else { return .failure(failure(status)) }
    return .success(Answer(status: exchange.status, fields: answeredFields(), body: Data(exchange.content)))
  }

  private func failure(_ status: CURLcode) -> RegistryClientError {
    let sentence = String(cString: reason)
    let reason = sentence.isEmpty ? String(cString: curl_easy_strerror(status)) : sentence
    switch status {
    case CURLE_URL_MALFORMAT: return .invalidURL(reason)
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR:
      return .untrusted(reason)
    // TLS failed, or the connection broke during the handshake.
    case CURLE_SSL_CONNECT_ERROR: return .unreachable("\(reason); check the URL, or try again")
    default: return .unreachable("\(reason); try again")
    }
  }

  /// Lines of the same name make one value (RFC 9110, section 5.3).
  private func answeredFields() -> [String: String] {
    Dictionary(exchange.fields.map { ($0.name.lowercased(), $0.value) }) { "\($0), \($1)" }
  }

  private func ownSettings(
    _ call: Call, _ origin: Origin, _ fields: [(name: String, value: String)]
  ) -> [CURLcode] {
    // Without a value, a line removes libcurl's own field.
    let removed = ["Expect:"] + (call.body == nil ? ["Content-Type:"] : [])
    let settings = [
      exchange.set(fieldLines: fields.map { "\($0.name): \($0.value)" } + removed),
      // The target is signed.
      curl_set_number(curl, CURLOPT_PATH_AS_IS, 1),
      // A cancelled request closes its connection, which no other request shares.
      curl_set_number(curl, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)),
      curl_set_number(curl, CURLOPT_FRESH_CONNECT, call.needsNewConnection ? 1 : 0),
      curl_set_pointer(curl, CURLOPT_ERRORBUFFER, reason),
      origin.isPlainLoopback ? curl_set_text(curl, CURLOPT_PROXY, "") : CURLE_OK,
    ]
    // A POST without a body has the length 0.
    let hasContent = call.body != nil || call.method == "POST"
    let content = hasContent ? exchange.set(content: Array(call.body ?? Data())) : []
    return settings + content + [curl_set_text(curl, CURLOPT_CUSTOMREQUEST, call.method)]
  }
}
