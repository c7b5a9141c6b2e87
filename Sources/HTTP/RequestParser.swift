internal import CLLHTTP

/// llhttp on the bytes of one connection: finds where a request's header section, its content and the request itself
/// end, and refuses what is malformed (RFC 9112). `RequestHead` reads the lines of the header section.
///
/// Not Sendable: it belongs to its connection. llhttp calls back only inside `parse`.
final class RequestParser {
  /// Where `parse` stopped.
  enum Stop: Equatable {
    /// At the end of the input.
    case inputEnd
    /// After the header section. There is content.
    case headEnd
    /// After the last chunk's size line: a trailer section follows, or an empty line.
    case lastChunk
    /// After the request.
    case requestEnd
    /// At a byte that is not HTTP.
    case refused(Refusal)
  }

  private let parser: UnsafeMutablePointer<llhttp_t>
  private var pause = Stop.inputEnd
  /// Whether the header section has ended.
  private var isInContent = false
  private var isInTrailers = false
  /// The last byte that was parsed before; nil at the beginning of a request.
  private var previousByte: UInt8?
  /// Bytes of content so far.
  private(set) var contentCount = 0
  /// The content so far, within the limit.
  private(set) var content: [UInt8] = []
  var maximumKeptBytes = 0 {
    didSet { if contentCount > maximumKeptBytes { content = [] } }
  }

  init() {
    parser = .allocate(capacity: 1)
    llhttp_init(parser, HTTP_REQUEST, settings)
    parser.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit { parser.deallocate() }

  /// Prepares for the next request.
  func reset() {
    llhttp_reset(parser)
    (isInContent, isInTrailers) = (false, false)
    previousByte = nil
    contentCount = 0
    content = []
  }

  /// Continues to parse. Returns where it stopped, and how many bytes it has read.
  func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> (stop: Stop, consumed: Int) {
    guard let start = bytes.baseAddress else { return (.inputEnd, 0) }
    let text = UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)
    switch llhttp_execute(parser, text, bytes.count) {
    case HPE_OK:
      previousByte = bytes.last
      return (.inputEnd, bytes.count)
    case HPE_PAUSED:
      let consumed = llhttp_get_error_pos(parser) - text
      llhttp_resume(parser)
      return (pause, consumed)
    case let error: return (.refused(refusal(error, in: bytes)), bytes.count)
    }
  }

  /// The length that the header section announces, or nil.
  var announcedLength: UInt64? {
    parser.pointee.flags & UInt16(F_CONTENT_LENGTH.rawValue) != 0 ? parser.pointee.content_length : nil
  }

  // MARK: What llhttp tells

  fileprivate func headersComplete() -> Int32 {
    // No other protocol is supported: an Upgrade field is ignored (RFC 9110, section 7.8).
    parser.pointee.upgrade = 0
    isInContent = true
    let flags = parser.pointee.flags
    let hasCoding = flags & UInt16(F_CHUNKED.rawValue | F_TRANSFER_ENCODING.rawValue) != 0
    // Without content, the request ends here too: `messageComplete` reports both.
    guard hasCoding || parser.pointee.content_length > 0 else { return 0 }
    return pause(at: .headEnd)
  }

  fileprivate func received(_ bytes: UnsafeBufferPointer<UInt8>) {
    contentCount += bytes.count
    if contentCount <= maximumKeptBytes {
      content.append(contentsOf: bytes)
    } else {
      content = []
    }
  }

  fileprivate func chunkHeader() -> Int32 {
    guard parser.pointee.content_length == 0 else { return 0 }
    isInTrailers = true
    return pause(at: .lastChunk)
  }

  fileprivate func messageComplete() -> Int32 { pause(at: .requestEnd) }

  private func pause(at stop: Stop) -> Int32 {
    pause = stop
    return Int32(HPE_PAUSED.rawValue)
  }

  // MARK: What llhttp refuses

  private func refusal(_ error: llhttp_errno_t, in bytes: UnsafeBufferPointer<UInt8>) -> Refusal {
    switch error {
    case HPE_INVALID_METHOD: return refusedMethod(in: bytes)
    case HPE_INVALID_URL: return .invalidTarget
    case HPE_PAUSED_H2_UPGRADE: return .versionNotSupported
    case HPE_INVALID_VERSION: return hasVersion ? .versionNotSupported : .invalidRequestLine
    case HPE_INVALID_CONSTANT: return .invalidRequestLine
    case HPE_INVALID_CONTENT_LENGTH: return .invalidContentLength
    case HPE_UNEXPECTED_CONTENT_LENGTH: return .conflictingLengths
    case HPE_INVALID_TRANSFER_ENCODING: return .invalidTransferEncoding
    case HPE_INVALID_CHUNK_SIZE: return .invalidChunk
    default: return isInContent && !isInTrailers ? .invalidChunk : .invalidField
    }
  }

  /// Whether the line has an unsupported version of HTTP, and not a supported one with something after it.
  private var hasVersion: Bool {
    let version = (parser.pointee.http_major, parser.pointee.http_minor)
    return version != (1, 1) && version != (1, 0) && version != (0, 0)
  }

  /// llhttp compares with its list of methods, and stops at the first byte that fits none of them. That is the space
  /// after a method that is a prefix of a listed one.
  private func refusedMethod(in bytes: UnsafeBufferPointer<UInt8>) -> Refusal {
    let text = UnsafeRawPointer(bytes.baseAddress!).assumingMemoryBound(to: CChar.self)
    guard let position = llhttp_get_error_pos(parser) else { return .invalidMethod }
    let place = position - text
    let tested =
      bytes[place] == UInt8(ascii: " ") ? (place > 0 ? bytes[place - 1] : previousByte) : bytes[place]
    return tested.map(HeaderFields.isTokenByte) == true ? .unknownMethod : .invalidMethod
  }
}

// MARK: Callbacks of llhttp

/// The callbacks of every parser. Filled once, and never changed.
nonisolated(unsafe) private let settings: UnsafeMutablePointer<llhttp_settings_t> = {
  let settings = UnsafeMutablePointer<llhttp_settings_t>.allocate(capacity: 1)
  llhttp_settings_init(settings)
  settings.pointee.on_headers_complete = { owner(of: $0).headersComplete() }
  settings.pointee.on_body = { parser, start, count in
    start!.withMemoryRebound(to: UInt8.self, capacity: count) {
      owner(of: parser).received(UnsafeBufferPointer(start: $0, count: count))
    }
    return 0
  }
  settings.pointee.on_chunk_header = { owner(of: $0).chunkHeader() }
  settings.pointee.on_message_complete = { owner(of: $0).messageComplete() }
  return settings
}()

private func owner(of parser: UnsafeMutablePointer<llhttp_t>?) -> RequestParser {
  Unmanaged<RequestParser>.fromOpaque(parser!.pointee.data).takeUnretainedValue()
}
