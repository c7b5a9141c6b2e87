internal import CCurl
internal import Glibc

/// A key set that was fetched, and how long it is good.
struct FetchedKeySet: Sendable {
  let keys: JWKSet
  let lifetimeSeconds: Int
}

/// One HTTPS request for a key set, by libcurl. It blocks, for `totalTimeoutMilliseconds` at most.
///
/// The certificate is verified; redirects, proxies, plain HTTP and TLS before 1.2 are not followed, used or
/// spoken, whatever the environment says: the keys decide who gets in.
struct KeySetDownload: Sendable {
  let url: String
  /// PEM certificates to trust instead of the system's.
  let certificateFile: String?
  var connectTimeoutMilliseconds = 3000
  var totalTimeoutMilliseconds = 5000

  /// Throws when the URL is not https.
  init(url: String, certificateFile: String?) throws(JWKSetError) {
    guard url.lowercased().hasPrefix("https://") else { throw .notHTTPS }
    self.url = url
    self.certificateFile = certificateFile
  }

  /// Fetches and reads the set.
  func fetch() -> Result<FetchedKeySet, JWKSetError> {
    Result { () throws(JWKSetError) in
      guard Self.isReady, let curl = curl_easy_init() else { throw .notFetched(reason: "no libcurl") }
      defer { curl_easy_cleanup(curl) }
      let body = try perform(curl)
      return FetchedKeySet(keys: try JWKSet(published: body), lifetimeSeconds: Self.lifetimeSeconds(curl))
    }
  }

  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  private final class Body {
    var bytes: [UInt8] = []
    var isTooLarge = false
  }

  private func perform(_ curl: UnsafeMutableRawPointer) throws(JWKSetError) -> [UInt8] {
    let body = Body()
    let status = withExtendedLifetime(body) {
      let settings = configure(curl, body)
      return settings.first { $0 != CURLE_OK } ?? curl_easy_perform(curl)
    }
    if body.isTooLarge { throw .tooLarge }
    guard status == CURLE_OK else { throw .notFetched(reason: String(cString: curl_easy_strerror(status))) }
    var code = 0
    curl_get_number(curl, CURLINFO_RESPONSE_CODE, &code)
    guard code == 200 else { throw .notFetched(reason: "the answer was \(code), not 200") }
    return body.bytes
  }

  private func configure(_ curl: UnsafeMutableRawPointer, _ body: Body) -> [CURLcode] {
    [
      curl_set_text(curl, CURLOPT_URL, url),
      curl_set_text(curl, CURLOPT_PROTOCOLS_STR, "https"),
      curl_set_number(curl, CURLOPT_FOLLOWLOCATION, 0),
      curl_set_text(curl, CURLOPT_PROXY, ""),
      curl_set_number(curl, CURLOPT_SSL_VERIFYPEER, 1),
      curl_set_number(curl, CURLOPT_SSL_VERIFYHOST, 2),
      curl_set_number(curl, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
      certificateFile.map { curl_set_text(curl, CURLOPT_CAINFO, $0) } ?? CURLE_OK,
      certificateFile.map { _ in curl_set_text(curl, CURLOPT_CAPATH, nil) } ?? CURLE_OK,
      curl_set_number(curl, CURLOPT_CONNECTTIMEOUT_MS, connectTimeoutMilliseconds),
      curl_set_number(curl, CURLOPT_TIMEOUT_MS, totalTimeoutMilliseconds),
      // No signals: they would interrupt whichever thread has them.
      curl_set_number(curl, CURLOPT_NOSIGNAL, 1),
      curl_set_text(curl, CURLOPT_USERAGENT, "device-registry"),
      curl_set_pointer(curl, CURLOPT_WRITEDATA, Unmanaged.passUnretained(body).toOpaque()),
      curl_set_write_function(curl) { bytes, size, count, body in
        let body = Unmanaged<Body>.fromOpaque(body!).takeUnretainedValue()
        guard body.bytes.count + size * count <= JWKSet.maximumLength else {
          body.isTooLarge = true
          return 0
        }
        body.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
        return size * count
      },
    ]
  }

  private static func lifetimeSeconds(_ curl: UnsafeMutableRawPointer) -> Int {
    let expires = lines("Expires", of: curl).first.map { curl_getdate($0, nil) }
    let date = lines("Date", of: curl).first.map { curl_getdate($0, nil) } ?? -1
    // An Expires that is no date, `0` above all, lies in the past (RFC 9111, section 5.3): so does curl's -1.
    return KeySetFreshness.seconds(
      cacheControl: lines("Cache-Control", of: curl),
      ageSeconds: lines("Age", of: curl).first.flatMap { Int($0) },
      expiresInSeconds: expires.map { $0 - (date == -1 ? time(nil) : date) })
  }

  /// The values of the answer's field lines of that name, in their order.
  private static func lines(_ name: String, of curl: UnsafeMutableRawPointer) -> [String] {
    var values: [String] = []
    var header: UnsafeMutablePointer<curl_header>?
    while curl_easy_header(curl, name, values.count, UInt32(CURLH_HEADER), -1, &header) == CURLHE_OK,
      let value = header?.pointee.value
    {
      values.append(String(cString: value))
    }
    return values
  }
}
