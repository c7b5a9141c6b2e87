private import Glibc

/// Writes the head of answers (RFC 9112, section 4). One per server.
struct ResponseWriter {
  /// Fields of every answer of this server, in addition to those of every server.
  let commonFields: [HTTPServer.CommonField]
  private var date = ByteBuffer(capacity: 64)
  private var dateSeconds = -1

  init(commonFields: [HTTPServer.CommonField]) { self.commonFields = commonFields }

  /// The parts of an answer's head that do not come from the handler.
  struct Circumstances {
    let requestID: String
    /// Whether the connection ends with the answer.
    let closes: Bool
    /// Whether the request was HTTP/1.0, where a persistent connection is the exception.
    let isVersion10: Bool
  }

  /// Writes everything before the content.
  mutating func write(_ response: Response, _ circumstances: Circumstances, to buffer: ByteBuffer) {
    buffer.append("HTTP/1.1 ")
    buffer.append(decimal: Int64(response.status))
    buffer.append(Self.reason(of: response.status))
    appendDate(to: buffer)
    if let type = response.contentType { buffer.append(field: "Content-Type", type) }
    buffer.append(field: "X-Request-Id", circumstances.requestID)
    buffer.append(field: "Cache-Control", response.cacheControl)
    for field in commonFields { buffer.append(field: field.name, field.value) }
    for field in response.fields { buffer.append(field: field.name, field.value) }
    // RFC 9110, section 8.6: no length with 204, and with 304 only that of the content that is not sent.
    if response.status != 204, response.status != 304 {
      buffer.append("Content-Length: ")
      buffer.append(decimal: Int64(response.body?.count ?? 0))
      buffer.append("\r\n")
    }
    if circumstances.closes {
      buffer.append("Connection: close\r\n")
    } else if circumstances.isVersion10 {
      buffer.append("Connection: keep-alive\r\n")
    }
    buffer.append("\r\n")
  }

  // MARK: Date

  /// RFC 9110, section 6.6.1. Written once a second.
  private mutating func appendDate(to buffer: ByteBuffer) {
    var now = time(nil)
    if now != dateSeconds {
      dateSeconds = now
      var parts = tm()
      gmtime_r(&now, &parts)
      date.removeAll()
      date.append("Date: ")
      date.append(length: Self.dateLength) { bytes in
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Self.dateLength + 1) { text in
          strftime(text.baseAddress!, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
          for index in 0..<Self.dateLength { bytes[index] = UInt8(bitPattern: text[index]) }
        }
      }
      date.append("\r\n")
    }
    date.withBytes { buffer.append($0) }
  }

  private static let dateLength = 29

  // MARK: Status

  /// The reason phrase, which nobody reads (RFC 9112, section 4), with its surroundings.
  private static func reason(of status: Int) -> StaticString {
    switch status {
    case 200: " OK\r\n"
    case 201: " Created\r\n"
    case 202: " Accepted\r\n"
    case 204: " No Content\r\n"
    case 304: " Not Modified\r\n"
    case 308: " Permanent Redirect\r\n"
    case 400: " Bad Request\r\n"
    case 401: " Unauthorized\r\n"
    case 403: " Forbidden\r\n"
    case 404: " Not Found\r\n"
    case 405: " Method Not Allowed\r\n"
    case 408: " Request Timeout\r\n"
    case 409: " Conflict\r\n"
    case 410: " Gone\r\n"
    case 413: " Content Too Large\r\n"
    case 415: " Unsupported Media Type\r\n"
    case 422: " Unprocessable Content\r\n"
    case 429: " Too Many Requests\r\n"
    case 431: " Request Header Fields Too Large\r\n"
    case 503: " Service Unavailable\r\n"
    case 505: " HTTP Version Not Supported\r\n"
    case 500: " Internal Server Error\r\n"
    default: " \r\n"
    }
  }
}

extension ByteBuffer {
  fileprivate func append(field name: StaticString, _ value: StaticString) {
    value.withUTF8Buffer { append(field: name, $0) }
  }

  fileprivate func append(field name: StaticString, _ value: String) {
    var value = value
    value.withUTF8 { value in
      // A line end in a value would let its author start another field, or the content.
      if !value.contains(where: { $0 < 0x20 || $0 == 0x7F }) { append(field: name, value) }
    }
  }

  private func append(field name: StaticString, _ value: UnsafeBufferPointer<UInt8>) {
    let nameLength = name.utf8CodeUnitCount
    append(length: nameLength + value.count + 4) { line in
      var position = line.baseAddress!
      position.update(from: name.utf8Start, count: nameLength)
      position += nameLength
      position[0] = UInt8(ascii: ":")
      position[1] = UInt8(ascii: " ")
      position += 2
      if let start = value.baseAddress { position.update(from: start, count: value.count) }
      position += value.count
      position[0] = UInt8(ascii: "\r")
      position[1] = UInt8(ascii: "\n")
    }
  }
}
