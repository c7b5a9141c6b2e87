package import CCurl

/// One request and its answer: the owner of a libcurl easy handle, which receives the answer within bounds.
///
/// Not Sendable: its owner uses it on one thread at a time, which runs the handle too.
package final class CurlExchange {
  /// Bounds of an answer.
  package struct Bounds: Sendable {
    let headerBytes: Int
    let contentBytes: Int
    let needsOnlyExcerpt: Bool

    /// - Parameter needsOnlyExcerpt: whether the first `contentBytes` of a longer content are enough.
    package init(headerBytes: Int, contentBytes: Int, needsOnlyExcerpt: Bool = false) {
      self.headerBytes = headerBytes
      self.contentBytes = contentBytes
      self.needsOnlyExcerpt = needsOnlyExcerpt
    }
  }

  package let handle: UnsafeMutableRawPointer
  private let bounds: Bounds
  private var fieldLines: UnsafeMutablePointer<curl_slist>?
  private var headerBytes = 0
  /// The content of the answer.
  package private(set) var content: [UInt8] = []
  /// The bound that the answer exceeds, for which the transfer was ended.
  package private(set) var exceededBytes: Int?
  private var hasWholeExcerpt = false

  /// Nil if the system has no memory left.
  package init?(_ bounds: Bounds) {
    guard let handle = curl_easy_init() else { return nil }
    self.handle = handle
    self.bounds = bounds
  }

  deinit {
    curl_easy_cleanup(handle)
    curl_slist_free_all(fieldLines)
  }

  // MARK: The request

  /// Sets what all requests have: certificates are verified, redirects are not followed, and the answer is received here.
  ///
  /// - Parameters:
  ///   - schemes: `https`, or `http,https`.
  ///   - certificateFile: PEM certificates to trust instead of the system's.
  package func set(url: String, schemes: String, userAgent: String, certificateFile: String?) -> [CURLcode] {
    let me = Unmanaged.passUnretained(self).toOpaque()
    return [
      curl_set_text(handle, CURLOPT_URL, url),
      curl_set_text(handle, CURLOPT_PROTOCOLS_STR, schemes),
      curl_set_number(handle, CURLOPT_FOLLOWLOCATION, 0),
      curl_set_text(handle, CURLOPT_USERAGENT, userAgent),
      curl_set_number(handle, CURLOPT_SSL_VERIFYPEER, 1),
      curl_set_number(handle, CURLOPT_SSL_VERIFYHOST, 2),
      curl_set_number(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
      certificateFile.map { curl_set_text(handle, CURLOPT_CAINFO, $0) } ?? CURLE_OK,
      // Only a file: the system's folder has the same certificates as the system's file, and libcurl caches only those of
      // a file.
      curl_set_text(handle, CURLOPT_CAPATH, nil),
      // A transfer that ends during the look-up of its host does not wait for the resolver's thread.
      curl_set_number(handle, CURLOPT_QUICK_EXIT, 1),
      // Without signals, which would interrupt other threads.
      curl_set_number(handle, CURLOPT_NOSIGNAL, 1),
      curl_set_pointer(handle, CURLOPT_HEADERDATA, me),
      curl_set_receiver(handle, CURLOPT_HEADERFUNCTION) { _, size, count, exchange in
        CurlExchange.of(exchange).receiveHeader(length: size * count) ? size * count : 0
      },
      curl_set_pointer(handle, CURLOPT_WRITEDATA, me),
      curl_set_receiver(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, exchange in
        let bytes = UnsafeRawBufferPointer(start: bytes, count: size * count)
        return CurlExchange.of(exchange).receive(bytes) ? bytes.count : 0
      },
    ]
  }

  /// Sets header lines in the form of CURLOPT_HTTPHEADER: `Name: value`, `Name;` for an empty value, `Name:` to remove
  /// libcurl's own.
  package func set(fieldLines lines: [String]) -> CURLcode {
    for line in lines {
      guard let longer = curl_slist_append(fieldLines, line) else { return CURLE_OUT_OF_MEMORY }
      fieldLines = longer
    }
    return curl_set_pointer(handle, CURLOPT_HTTPHEADER, fieldLines)
  }

  /// Makes it a POST with this content.
  package func set(content: [UInt8]) -> [CURLcode] {
    [
      curl_set_number(handle, CURLOPT_POSTFIELDSIZE, content.count),
      curl_set_pointer(handle, CURLOPT_COPYPOSTFIELDS, content),
    ]
  }

  // MARK: The answer

  /// Whether the transfer ended well: with the whole answer, or with an excerpt that is enough.
  package func isComplete(_ result: CURLcode) -> Bool {
    result == CURLE_OK || result == CURLE_WRITE_ERROR && hasWholeExcerpt
  }

  package var status: Int {
    var status = 0
    curl_get_number(handle, CURLINFO_RESPONSE_CODE, &status)
    return status
  }

  /// The header fields of the answer, line by line.
  package var fields: [(name: String, value: String)] {
    var fields: [(name: String, value: String)] = []
    var last: UnsafeMutablePointer<curl_header>?
    while let header = curl_easy_nextheader(handle, UInt32(CURLH_HEADER), -1, last) {
      fields.append((String(cString: header.pointee.name), String(cString: header.pointee.value)))
      last = header
    }
    return fields
  }

  // MARK: libcurl calls

  private static func of(_ data: UnsafeMutableRawPointer?) -> CurlExchange {
    Unmanaged<CurlExchange>.fromOpaque(data!).takeUnretainedValue()
  }

  /// False to end the transfer.
  private func receiveHeader(length: Int) -> Bool {
    headerBytes += length
    if headerBytes > bounds.headerBytes { exceededBytes = bounds.headerBytes }
    return exceededBytes == nil
  }

  /// False to end the transfer.
  private func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let room = bounds.contentBytes - content.count
    guard bytes.count > room else {
      content.append(contentsOf: bytes)
      return true
    }
    if bounds.needsOnlyExcerpt {
      content.append(contentsOf: bytes.prefix(room))
      hasWholeExcerpt = true
    } else {
      exceededBytes = bounds.contentBytes
    }
    return false
  }
}
