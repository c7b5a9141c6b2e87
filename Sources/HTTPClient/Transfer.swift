internal import CCurl
internal import Curl
internal import Encoding
internal import Glibc

/// One request and its answer. Used on the loop of its client.
final class Transfer {
  private let exchange: CurlExchange
  private let request: WebClient.Request
  private let isAllowed: (_ address: IPAddress) -> Bool
  /// Called exactly once.
  private var complete: ((Result<WebClient.Answer, FetchError>) -> Void)?

  private(set) var hasEnded = false
  private var isAddressRefused = false

  var curl: UnsafeMutableRawPointer { exchange.handle }

  /// Tests the request. Throws `notHTTPS`, `malformedField`, `failed`.
  init(
    _ request: WebClient.Request, isAllowed: @escaping (_ address: IPAddress) -> Bool
  ) throws(FetchError) {
    let url = request.url.lowercased()
    guard url.hasPrefix("https://") || request.allowsPlainHTTP && url.hasPrefix("http://") else {
      throw .notHTTPS
    }
    guard request.fields.allSatisfy(Self.isWellFormed) else { throw .malformedField }
    let bounds = CurlExchange.Bounds(
      headerBytes: WebClient.maximumHeaderLength, contentBytes: request.maximumBodyLength,
      needsOnlyExcerpt: request.needsOnlyExcerpt)
    guard let exchange = CurlExchange(bounds) else { throw .failed(reason: "no memory for a request") }
    self.exchange = exchange
    self.request = request
    self.isAllowed = isAllowed
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
    if exchange.exceededBytes != nil { return .failure(.tooLarge) }
    if status == CURLE_COULDNT_CONNECT, isAddressRefused { return .failure(.addressRefused) }
    guard exchange.isComplete(status) else {
      return .failure(.failed(reason: String(cString: curl_easy_strerror(status))))
    }
    return .success(
      WebClient.Answer(status: exchange.status, fields: exchange.fields, body: exchange.content))
  }

  // MARK: Settings

  private static func isWellFormed(_ field: (name: String, value: String)) -> Bool {
    !field.name.isEmpty && !field.name.utf8.contains(UInt8(ascii: ":"))
      && (field.name + field.value).utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
  }

  /// The first error of the settings.
  func configure() -> CURLcode {
    let common = exchange.set(
      url: request.url, schemes: request.allowsPlainHTTP ? "http,https" : "https", userAgent: "device-registry",
      certificateFile: request.certificateFile)
    let own = [
      curl_set_text(curl, CURLOPT_PROXY, ""),
      curl_set_number(curl, CURLOPT_FORBID_REUSE, request.keepsConnection ? 0 : 1),
      // To read the certificates for each request would block the loop for about 30 ms.
      curl_set_number(curl, CURLOPT_CA_CACHE_TIMEOUT, WebClient.certificateCacheSeconds),
      curl_set_number(curl, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeoutMilliseconds),
      curl_set_number(curl, CURLOPT_TIMEOUT_MS, request.totalTimeoutMilliseconds),
      curl_set_pointer(curl, CURLOPT_OPENSOCKETDATA, Unmanaged.passUnretained(self).toOpaque()),
      curl_set_socket_opener(curl) { transfer, _, address in
        Unmanaged<Transfer>.fromOpaque(transfer!).takeUnretainedValue().openSocket(address!)
      },
      exchange.set(
        fieldLines: request.fields.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }),
    ]
    var content: [CURLcode] = []
    if case .post(let body) = request.method { content = exchange.set(content: body) }
    return (common + own + content).first { $0 != CURLE_OK } ?? CURLE_OK
  }

  // MARK: Connecting

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
