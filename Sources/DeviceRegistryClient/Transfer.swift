internal import CCurl
internal import Foundation

/// One request and its answer: the owner of a libcurl easy handle.
///
/// `@unchecked Sendable`: a task makes it, and then only its `TransferThread` uses it.
final class Transfer: @unchecked Sendable {
  typealias Outcome = Result<Answer, RegistryClientError>

  let curl: UnsafeMutableRawPointer
  private let maximumAnswerBytes: Int
  private var fieldLines: UnsafeMutablePointer<curl_slist>?
  /// libcurl writes a sentence here when the transfer fails.
  private let reason: UnsafeMutablePointer<CChar>

  private var continuation: CheckedContinuation<Outcome, Never>?
  /// The outcome of a transfer that has ended.
  private var ending: Outcome?
  private var headerBytes = 0
  private var body = Data()
  /// The limit that the answer exceeds.
  private var exceededBytes: Int?

  /// Throws `unreachable` if the system has no memory left.
  init(
    _ call: Call, to origin: Origin, fields: [(name: String, value: String)], trusting certificateFile: String?
  ) throws(RegistryClientError) {
    guard let curl = curl_easy_init() else { throw .unreachable("no memory for a request") }
    self.curl = curl
    maximumAnswerBytes = call.maximumAnswerBytes
    reason = .allocate(capacity: Int(CURL_ERROR_SIZE))
    reason.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    let settings = request(call, origin, fields) + security(origin, certificateFile) + receivers()
    guard let failure = settings.first(where: { $0 != CURLE_OK }) else { return }
    throw .unreachable(String(cString: curl_easy_strerror(failure)))
  }

  deinit {
    curl_easy_cleanup(curl)
    curl_slist_free_all(fieldLines)
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
    if let exceededBytes { return .failure(.answerTooLarge(limitBytes: exceededBytes)) }
    guard status == CURLE_OK else { return .failure(failure(status)) }
    var code = 0
    curl_get_number(curl, CURLINFO_RESPONSE_CODE, &code)
    return .success(Answer(status: code, fields: answeredFields(), body: body))
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
    var fields: [String: String] = [:]
    var last: UnsafeMutablePointer<curl_header>?
    while let header = curl_easy_nextheader(curl, UInt32(CURLH_HEADER), -1, last) {
      let (name, value) = (String(cString: header.pointee.name), String(cString: header.pointee.value))
      fields[name.lowercased()] = fields[name.lowercased()].map { "\($0), \(value)" } ?? value
      last = header
    }
    return fields
  }

  // MARK: Settings

  private func request(_ call: Call, _ origin: Origin, _ fields: [(name: String, value: String)]) -> [CURLcode]
  {
    // Without a value, a line removes libcurl's own field.
    let removed = ["Expect:"] + (call.body == nil ? ["Content-Type:"] : [])
    for line in fields.map({ "\($0.name): \($0.value)" }) + removed {
      guard let longer = curl_slist_append(fieldLines, line) else { return [CURLE_OUT_OF_MEMORY] }
      fieldLines = longer
    }
    let settings = [
      curl_set_text(curl, CURLOPT_URL, origin.url(call.target)),
      curl_set_text(curl, CURLOPT_PROTOCOLS_STR, origin.scheme),
      // The target is signed.
      curl_set_number(curl, CURLOPT_PATH_AS_IS, 1),
      curl_set_number(curl, CURLOPT_FOLLOWLOCATION, 0),
      // A cancelled request closes its connection, which no other request shares.
      curl_set_number(curl, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)),
      curl_set_text(curl, CURLOPT_USERAGENT, "device-registry-client"),
      curl_set_pointer(curl, CURLOPT_HTTPHEADER, fieldLines),
      curl_set_number(curl, CURLOPT_FRESH_CONNECT, call.needsNewConnection ? 1 : 0),
      // A transfer that ends during the look-up of its host does not wait for the resolver's thread.
      curl_set_number(curl, CURLOPT_QUICK_EXIT, 1),
      // Without signals, which would interrupt other threads.
      curl_set_number(curl, CURLOPT_NOSIGNAL, 1),
      curl_set_pointer(curl, CURLOPT_ERRORBUFFER, reason),
    ]
    // A POST without a body has the length 0.
    let body = Array(call.body ?? Data())
    let content =
      call.body == nil && call.method != "POST"
      ? []
      : [
        curl_set_number(curl, CURLOPT_POSTFIELDSIZE, body.count),
        curl_set_pointer(curl, CURLOPT_COPYPOSTFIELDS, body),
      ]
    return settings + content + [curl_set_text(curl, CURLOPT_CUSTOMREQUEST, call.method)]
  }

  private func security(_ origin: Origin, _ certificateFile: String?) -> [CURLcode] {
    [
      origin.isPlainLoopback ? curl_set_text(curl, CURLOPT_PROXY, "") : CURLE_OK,
      curl_set_number(curl, CURLOPT_SSL_VERIFYPEER, 1),
      curl_set_number(curl, CURLOPT_SSL_VERIFYHOST, 2),
      curl_set_number(curl, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
      certificateFile.map { curl_set_text(curl, CURLOPT_CAINFO, $0) } ?? CURLE_OK,
      // Only the file: the system's folder would be trusted too, and has the same certificates as the system's file.
      curl_set_text(curl, CURLOPT_CAPATH, nil),
    ]
  }

  private func receivers() -> [CURLcode] {
    let me = Unmanaged.passUnretained(self).toOpaque()
    return [
      curl_set_pointer(curl, CURLOPT_HEADERDATA, me),
      curl_set_receiver(curl, CURLOPT_HEADERFUNCTION) { _, size, count, transfer in
        Transfer.of(transfer).receiveHeader(length: size * count) ? size * count : 0
      },
      curl_set_pointer(curl, CURLOPT_WRITEDATA, me),
      curl_set_receiver(curl, CURLOPT_WRITEFUNCTION) { bytes, size, count, transfer in
        let bytes = UnsafeRawBufferPointer(start: bytes, count: size * count)
        return Transfer.of(transfer).receive(bytes) ? bytes.count : 0
      },
    ]
  }

  // MARK: libcurl calls

  private static func of(_ data: UnsafeMutableRawPointer?) -> Transfer {
    Unmanaged<Transfer>.fromOpaque(data!).takeUnretainedValue()
  }

  private func receiveHeader(length: Int) -> Bool {
    headerBytes += length
    if headerBytes > Call.maximumHeaderBytes { exceededBytes = Call.maximumHeaderBytes }
    return exceededBytes == nil
  }

  private func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if body.count + bytes.count > maximumAnswerBytes { exceededBytes = maximumAnswerBytes }
    if exceededBytes == nil { body.append(contentsOf: bytes) }
    return exceededBytes == nil
  }
}
