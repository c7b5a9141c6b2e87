internal import CCurl
internal import Encoding
internal import Glibc

/// One request and its answer: the owner of a libcurl easy handle. Used on the loop of its client.
final class Transfer {
  let curl: UnsafeMutableRawPointer
  private let request: WebClient.Request
  private let isAllowed: (_ address: IPAddress) -> Bool
  private var fieldLines: UnsafeMutablePointer<curl_slist>?
  /// Called exactly once.
  private var complete: ((Result<WebClient.Answer, FetchError>) -> Void)?

  private(set) var hasEnded = false
  private var headerLength = 0
  private var body: [UInt8] = []
  private var isTooLarge = false
  /// Whether the rest of a content of which an excerpt suffices was left unread.
  private var hasWholeExcerpt = false
  private var isAddressRefused = false

  /// Tests the request. Throws `notHTTPS`, `malformedField`, `failed`.
  init(
    _ request: WebClient.Request, isAllowed: @escaping (_ address: IPAddress) -> Bool
  ) throws(FetchError) {
    let url = request.url.lowercased()
    guard url.hasPrefix("https://") || request.allowsPlainHTTP && url.hasPrefix("http://") else {
      throw .notHTTPS
    }
    guard request.fields.allSatisfy(Self.isWellFormed) else { throw .malformedField }
    guard let curl = curl_easy_init() else { throw .failed(reason: "no memory for a request") }
    self.curl = curl
    self.request = request
    self.isAllowed = isAllowed
  }

  deinit {
    curl_easy_cleanup(curl)
    curl_slist_free_all(fieldLines)
  }

  func begin(_ complete: @escaping (Result<WebClient.Answer, FetchError>) -> Void) {
    // The task was cancelled before the transfer began.
    guard !hasEnded else { return complete(.failure(.cancelled)) }
    self.complete = complete
  }

  func end(_ result: Result<WebClient.Answer, FetchError>) {
    hasEnded = true
    complete?(result)
    complete = nil
  }

  /// Translates libcurl's result of the transfer.
  func result(_ status: CURLcode) -> Result<WebClient.Answer, FetchError> {
    if isTooLarge { return .failure(.tooLarge) }
    // `receive` stopped the transfer.
    let isCut = status == CURLE_WRITE_ERROR && hasWholeExcerpt
    if status == CURLE_COULDNT_CONNECT, isAddressRefused { return .failure(.addressRefused) }
    guard status == CURLE_OK || isCut else {
      return .failure(.failed(reason: String(cString: curl_easy_strerror(status))))
    }
    var code = 0
    curl_get_number(curl, CURLINFO_RESPONSE_CODE, &code)
    return .success(WebClient.Answer(status: code, fields: answeredFields(), body: body))
  }

  private func answeredFields() -> [(name: String, value: String)] {
    var fields: [(name: String, value: String)] = []
    var last: UnsafeMutablePointer<curl_header>?
    while let header = curl_easy_nextheader(curl, UInt32(CURLH_HEADER), -1, last) {
      fields.append((String(cString: header.pointee.name), String(cString: header.pointee.value)))
      last = header
    }
    return fields
  }

  // MARK: Settings

  private static func isWellFormed(_ field: (name: String, value: String)) -> Bool {
    !field.name.isEmpty && !field.name.utf8.contains(UInt8(ascii: ":"))
      && (field.name + field.value).utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
  }

  /// The first error of the settings.
  func configure() -> CURLcode {
    let me = Unmanaged.passUnretained(self).toOpaque()
    let settings = [
      curl_set_text(curl, CURLOPT_URL, request.url),
      curl_set_text(curl, CURLOPT_PROTOCOLS_STR, request.allowsPlainHTTP ? "http,https" : "https"),
      curl_set_number(curl, CURLOPT_FOLLOWLOCATION, 0),
      curl_set_text(curl, CURLOPT_PROXY, ""),
      curl_set_number(curl, CURLOPT_FORBID_REUSE, request.keepsConnection ? 0 : 1),
      curl_set_number(curl, CURLOPT_SSL_VERIFYPEER, 1),
      curl_set_number(curl, CURLOPT_SSL_VERIFYHOST, 2),
      curl_set_number(curl, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
      request.certificateFile.map { curl_set_text(curl, CURLOPT_CAINFO, $0) } ?? CURLE_OK,
      // libcurl caches the certificates of a file, not of a folder: to read them for each request would block the
      // loop for about 30 ms.
      curl_set_text(curl, CURLOPT_CAPATH, nil),
      curl_set_number(curl, CURLOPT_CA_CACHE_TIMEOUT, WebClient.certificateCacheSeconds),
      curl_set_number(curl, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeoutMilliseconds),
      curl_set_number(curl, CURLOPT_TIMEOUT_MS, request.totalTimeoutMilliseconds),
      // A transfer that ends during the look-up of its host does not wait for the resolver's thread.
      curl_set_number(curl, CURLOPT_QUICK_EXIT, 1),
      // Without signals, which would interrupt other threads.
      curl_set_number(curl, CURLOPT_NOSIGNAL, 1),
      curl_set_text(curl, CURLOPT_USERAGENT, "device-registry"),
      curl_set_pointer(curl, CURLOPT_HEADERDATA, me),
      curl_set_receiver(curl, CURLOPT_HEADERFUNCTION) { _, size, count, transfer in
        Transfer.of(transfer).receiveHeader(length: size * count) ? size * count : 0
      },
      curl_set_pointer(curl, CURLOPT_WRITEDATA, me),
      curl_set_receiver(curl, CURLOPT_WRITEFUNCTION) { bytes, size, count, transfer in
        let bytes = UnsafeRawBufferPointer(start: bytes, count: size * count)
        return Transfer.of(transfer).receive(bytes) ? bytes.count : 0
      },
      curl_set_pointer(curl, CURLOPT_OPENSOCKETDATA, me),
      curl_set_socket_opener(curl) { transfer, _, address in
        Transfer.of(transfer).openSocket(address!)
      },
    ]
    return (settings + methodSettings()).first { $0 != CURLE_OK } ?? CURLE_OK
  }

  private func methodSettings() -> [CURLcode] {
    for field in request.fields {
      // With a semicolon, libcurl sends a field without a value (CURLOPT_HTTPHEADER).
      let line = field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)"
      guard let longer = curl_slist_append(fieldLines, line) else { return [CURLE_OUT_OF_MEMORY] }
      fieldLines = longer
    }
    let fields = curl_set_pointer(curl, CURLOPT_HTTPHEADER, fieldLines)
    guard case .post(let body) = request.method else { return [fields] }
    return [
      fields, curl_set_number(curl, CURLOPT_POSTFIELDSIZE, body.count),
      curl_set_pointer(curl, CURLOPT_COPYPOSTFIELDS, body),
    ]
  }

  // MARK: libcurl calls

  private static func of(_ data: UnsafeMutableRawPointer?) -> Transfer {
    Unmanaged<Transfer>.fromOpaque(data!).takeUnretainedValue()
  }

  private func receiveHeader(length: Int) -> Bool {
    headerLength += length
    isTooLarge = headerLength > WebClient.maximumHeaderLength
    return !isTooLarge
  }

  private func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let room = request.maximumBodyLength - body.count
    let fits = bytes.count <= room
    if !fits, request.needsOnlyExcerpt { hasWholeExcerpt = true } else { isTooLarge = !fits }
    if !isTooLarge { body.append(contentsOf: bytes.prefix(room)) }
    return fits
  }

  private func openSocket(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
    guard let ip = Self.ipAddress(of: address), isAllowed(ip) else {
      isAddressRefused = true
      return CURL_SOCKET_BAD
    }
    let (family, kind) = (address.pointee.family, address.pointee.socktype)
    return socket(family, kind | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
  }

  /// Nil for another family, which URLs cannot name.
  private static func ipAddress(of address: UnsafeMutablePointer<curl_sockaddr>) -> IPAddress? {
    guard [AF_INET, AF_INET6].contains(address.pointee.family) else { return nil }
    var storage = sockaddr_storage()
    // The family determines the length of the address.
    let start = UnsafeRawPointer(address) + MemoryLayout<curl_sockaddr>.offset(of: \.addr)!
    let length = min(Int(address.pointee.addrlen), MemoryLayout<sockaddr_storage>.size)
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: start, count: length))
    }
    return IPAddress(storage)
  }
}
