private import CGnuTLS
private import Glibc

/// A connection to the server, and the answer that arrives on it.
struct ClientConnection {
  let descriptor: Int32
  /// The request in progress: the actor, its step, and when the step was due, in nanoseconds.
  var step = 0
  var actor = 0
  var dueAt: UInt64 = 0

  /// Nil without TLS. It lasts as long as the process.
  private var session: OpaquePointer?
  private var received: [UInt8] = []
  private var status = 0
  private var headLength = 0
  /// Bytes of the answer that are missing; nil until its header is complete.
  private var missing: Int?

  enum Failure: Error { case system(String), broken, malformed }

  /// Connects, and waits for the connection and the TLS handshake.
  init(port: UInt16, tls: Bool) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Failure.system("socket: \(String(cString: strerror(errno)))") }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw Failure.system("connect: \(String(cString: strerror(errno)))") }
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    if tls { try shakeHands() }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  private mutating func shakeHands() throws {
    var session: gnutls_session_t?
    var credentials: gnutls_certificate_credentials_t?
    gnutls_init(&session, UInt32(GNUTLS_CLIENT))
    gnutls_certificate_allocate_credentials(&credentials)
    guard let session, let credentials, gnutls_set_default_priority(session) == GNUTLS_E_SUCCESS else {
      throw Failure.system("TLS: no session")
    }
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(credentials))
    gnutls_transport_set_int2(session, descriptor, descriptor)
    var status: Int32
    repeat {
      status = gnutls_handshake(session)
    } while status != GNUTLS_E_SUCCESS && gnutls_error_is_fatal(status) == 0
    guard status == GNUTLS_E_SUCCESS else {
      throw Failure.system("TLS: \(String(cString: gnutls_strerror(status)))")
    }
    self.session = session
  }

  /// A request is far smaller than the socket's buffer.
  func send(_ request: [UInt8]) throws {
    let written =
      session.map { gnutls_record_send($0, request, request.count) }
      ?? Glibc.send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
    guard written == request.count else { throw Failure.broken }
  }

  /// Reads what arrived, through `buffer`. Returns the status once the answer is complete.
  mutating func receive(through buffer: UnsafeMutableRawBufferPointer) throws -> Int? {
    while true {
      let count = read(into: buffer)
      if count < 0, errno == EAGAIN { return nil }
      guard count > 0 else { throw Failure.broken }
      if received.count < Self.keptBytes {
        received.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
      if missing != nil { missing! -= count } else { try readHead() }
      if missing == 0 { return status }
      guard missing ?? 1 > 0 else { throw Failure.malformed }
      // Each TLS record is read separately.
      if count < buffer.count, session == nil { return nil }
    }
  }

  private func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard let session else { return recv(descriptor, buffer.baseAddress!, buffer.count, 0) }
    while true {
      let count = gnutls_record_recv(session, buffer.baseAddress!, buffer.count)
      if count >= 0 { return count }
      if count == Int(GNUTLS_E_AGAIN) {
        errno = EAGAIN
      } else if gnutls_error_is_fatal(Int32(count)) == 0 {
        continue
      }
      return -1
    }
  }

  /// Makes room for the next answer.
  mutating func forgetAnswer() {
    received.removeAll(keepingCapacity: true)
    missing = nil
  }

  /// Bytes of an answer that are kept; later ones are only counted.
  private static let keptBytes = 16 * 1024

  /// The bytes after a text in the answer.
  func find(_ text: [UInt8], length: Int) -> [UInt8]? {
    guard let start = Self.index(of: text, in: received[...]), start + text.count + length <= received.count
    else { return nil }
    return Array(received[start + text.count..<start + text.count + length])
  }

  var answerText: String { String(decoding: received.prefix(1000), as: UTF8.self) }

  private mutating func readHead() throws {
    guard let end = Self.index(of: Self.headEnd, in: received[...]) else { return }
    headLength = end + Self.headEnd.count
    guard headLength >= 16 else { throw Failure.malformed }
    // "HTTP/1.1 200 "
    status = received[9..<12].reduce(0) { $0 * 10 + Int($1) - 48 }
    missing = headLength + contentLength - received.count
  }

  private var contentLength: Int {
    let head = received[..<headLength]
    for name in Self.lengthNames {
      guard let start = Self.index(of: name, in: head) else { continue }
      return head[(start + name.count)...].drop { $0 == 32 }.prefix { $0 >= 48 && $0 < 58 }
        .reduce(0) { $0 * 10 + Int($1) - 48 }
    }
    return 0
  }

  private static let headEnd = Array("\r\n\r\n".utf8)
  private static let lengthNames = [Array("\nContent-Length:".utf8), Array("\ncontent-length:".utf8)]

  private static func index(of text: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      while offset + text.count <= bytes.count,
        let first = memchr(bytes.baseAddress! + offset, Int32(text[0]), bytes.count - offset)
      {
        offset = UnsafeRawPointer(first) - bytes.baseAddress!
        guard offset + text.count <= bytes.count else { return nil }
        if memcmp(first, text, text.count) == 0 { return offset }
        offset += 1
      }
      return nil
    }
  }
}
