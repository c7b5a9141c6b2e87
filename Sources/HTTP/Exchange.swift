internal import CMicrohttpd
internal import EventLoop
internal import Glibc

/// One request and its answer, from the request line to the last byte sent.
///
/// `@unchecked Sendable`: confined to its server's loop; the task that answers prefers that loop.
final class Exchange: @unchecked Sendable {
  private enum State {
    /// The request line is here.
    case began
    /// The header is here, and the body is coming.
    case receiving(Head)
    /// The handler is in its first step.
    case handling
    /// The handler waits for something; the daemon asks again in each of its turns. Milliseconds of the loop's clock.
    case waiting(since: Int)
    /// The handler waits for long; the daemon has put the connection aside.
    case suspended
    /// There is an answer to be queued.
    case answered(Response)
    /// The answer is queued, or nobody is left to hear it.
    case over
  }

  private struct Head {
    let method: String
    let fields: HeaderFields
    let keepsBody: Bool
  }

  private unowned let server: HTTPServer
  private let handle: OpaquePointer
  private let connection: Connection
  private let target: String
  /// Where libmicrohttpd has what follows the target.
  private let targetEnd: UnsafePointer<CChar>
  private var requestID = ""
  private var body: [UInt8] = []
  private var bodyLength = 0
  private var state = State.began

  init(server: HTTPServer, handle: OpaquePointer, connection: Connection, target: UnsafePointer<CChar>) {
    self.server = server
    self.handle = handle
    self.connection = connection
    let length = strlen(target)
    self.target = String(decoding: UnsafeRawBufferPointer(start: target, count: length), as: UTF8.self)
    targetEnd = target + length
    connection.requestBegan(now: server.loop.nowMilliseconds)
  }

  /// Takes the next step, each time that the daemon calls.
  func proceed(
    method: UnsafePointer<CChar>, version: UnsafePointer<CChar>, piece: UnsafeRawBufferPointer
  ) -> MHD_Result {
    if case .waiting(let since) = state { return wait(since) }
    server.noteStep()
    switch state {
    case .began:
      // A NUL in the target would end it before the version begins.
      let isWhole = version == targetEnd + 1
      let header = receivedHeader(from: method, behind: version)
      return receiveHeader(
        header, method: String(cString: method), version: String(cString: version), isWhole: isWhole)
    case .receiving(let head): return piece.isEmpty ? handleRequest(head) : receive(piece, head)
    case .handling, .waiting, .suspended: return .YES
    case .answered(let response): return send(response)
    case .over: return .NO
    }
  }

  /// The answer was sent, or the connection broke.
  func complete() {
    if case .waiting = state { server.waitingCount -= 1 }
    state = .over
    connection.answerEnded()
  }

  /// Answers 503 in the handler's place, because the server stops.
  func abandon() {
    switch state {
    case .waiting, .suspended: finish(server.responder.refuse(.unavailable, requestID: requestID))
    case .began, .receiving, .handling, .answered, .over: break
    }
  }

  // MARK: Receiving

  private func receiveHeader(
    _ header: (fields: HeaderFields, isAsSent: Bool), method: String, version: String, isWhole: Bool
  ) -> MHD_Result {
    let fields = header.fields
    requestID = Self.requestID(fields) ?? server.nextRequestID()
    let framing = Framing(method: method, target: target, version: version, fields: fields)
    // Of each line, `: ` and the line end count too.
    let size = target.utf8.count + fields.byteCount + 4 * fields.lineCount
    if size > server.limits.maximumHeaderBytes || fields.lineCount > server.limits.maximumFieldLines {
      return refuse(.headerTooLarge)
    }
    if !isWhole { return refuse(.invalidTarget) }
    if let refusal = framing.refusal ?? (header.isAsSent ? nil : .invalidField) { return refuse(refusal) }
    let length = framing.contentLength ?? 0
    let head = Head(method: method, fields: fields, keepsBody: length <= server.limits.maximumBodyBytes)
    // A body that is announced to be larger than what we care to throw away is not waited for.
    if length > server.limits.maximumDiscardedBytes { return handleRequest(head, isAborted: true) }
    state = .receiving(head)
    if head.keepsBody { body.reserveCapacity(Int(length)) }
    return .YES
  }

  /// The fields, and whether they are what the sender sent.
  private func receivedHeader(
    from method: UnsafePointer<CChar>, behind version: UnsafePointer<CChar>
  ) -> (fields: HeaderFields, isAsSent: Bool) {
    var header = ReceivedHeader(behind: version)
    withUnsafeMutablePointer(to: &header) { header in
      _ = MHD_get_connection_values_n(
        handle, .HEADER_KIND,
        { context, _, name, nameLength, value, valueLength in
          let header = context!.assumingMemoryBound(to: ReceivedHeader.self)
          header.pointee.append(name: bytes(name, nameLength), value: bytes(value, valueLength))
          return .YES
        }, header)
    }
    return (header.fields, header.isAsSent(upTo: method + header_size(handle)))
  }

  /// The request's own id, if it may be repeated in the answer and in the log.
  private static func requestID(_ fields: HeaderFields) -> String? {
    let values = fields.values(of: "x-request-id")
    guard values.count == 1, let value = values.first, (1...128).contains(value.utf8.count),
      value.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { return nil }
    return value
  }

  private func receive(_ piece: UnsafeRawBufferPointer, _ head: Head) -> MHD_Result {
    bodyLength += piece.count
    // libmicrohttpd takes no answer in the middle of a body: what is too large is thrown away for a while, so
    // that an honest sender hears why; beyond that the connection is cut.
    guard bodyLength <= server.limits.maximumDiscardedBytes else { return .NO }
    if head.keepsBody, bodyLength <= server.limits.maximumBodyBytes { body.append(contentsOf: piece) }
    return .YES
  }

  // MARK: Answering

  private func handleRequest(_ head: Head, isAborted: Bool = false) -> MHD_Result {
    connection.requestArrived()
    let isTooLarge = isAborted || bodyLength > server.limits.maximumBodyBytes
    let request = Request(
      id: requestID, method: head.method, target: target, fields: head.fields,
      body: isTooLarge ? .tooLarge : .complete(body),
      client: server.trustedProxies.client(of: connection.peer, head.fields))
    body = []
    state = .handling
    let responder = server.responder
    server.loop.startTask {
      var response = await responder.respond(to: request)
      if isAborted { response.closesConnection = true }
      self.finish(response)
    }
    // Most handlers of a warm cache are done by now, and cost no suspension.
    if case .answered(let response) = state { return send(response) }
    // Whoever tests the size does so before anything that waits; there is no suspending before the body.
    if isAborted { return .NO }
    state = .waiting(since: server.loop.nowMilliseconds)
    server.waitingCount += 1
    return .YES
  }

  /// Putting a connection aside and back takes two calls of the system and a read, as much as all the rest of a short
  /// request; to ask it in each turn takes next to nothing, while it is not for long.
  private func wait(_ since: Int) -> MHD_Result {
    if server.loop.nowMilliseconds - since >= HTTPServer.maximumWaitMilliseconds {
      state = .suspended
      server.waitingCount -= 1
      MHD_suspend_connection(handle)
    }
    return .YES
  }

  private func refuse(_ refusal: Refusal) -> MHD_Result {
    connection.requestArrived()
    var response = server.responder.refuse(refusal, requestID: requestID)
    response.closesConnection = true
    return send(response)
  }

  private func finish(_ response: Response) {
    switch state {
    case .handling: state = .answered(response)
    case .waiting:
      state = .answered(response)
      server.waitingCount -= 1
      server.pumpSoon()
    case .suspended:
      state = .answered(response)
      MHD_resume_connection(handle)
      server.pumpSoon()
    case .began, .receiving, .answered, .over: break
    }
  }

  private func send(_ response: Response) -> MHD_Result {
    state = .over
    connection.answerBegan(now: server.loop.nowMilliseconds)
    guard let message = Self.message(response.body) else { return .NO }
    defer { MHD_destroy_response(message) }
    if let type = response.contentType { Self.add("Content-Type", type.cString, to: message) }
    requestID.withCString { Self.add("X-Request-Id", $0, to: message) }
    Self.add("Cache-Control", response.cacheControl.cString, to: message)
    for field in server.commonFields { Self.add(field.name, field.value.cString, to: message) }
    for field in response.fields { field.value.withCString { Self.add(field.name, $0, to: message) } }
    if response.closesConnection || server.isDraining {
      Self.add("Connection", StaticString("close").cString, to: message)
    }
    return MHD_queue_response(handle, UInt32(response.status), message)
  }

  /// The daemon sends the buffer's bytes as they lie, and lets go of it when the last one is sent.
  private static func message(_ body: ByteBuffer?) -> OpaquePointer? {
    guard let body, body.count > 0 else { return MHD_create_response_from_buffer(0, nil, .RESPMEM_PERSISTENT) }
    return MHD_create_response_from_buffer_with_free_callback_cls(
      body.count, body.start, { Unmanaged<ByteBuffer>.fromOpaque($0!).release() },
      Unmanaged.passRetained(body).toOpaque())
  }

  private static func add(_ name: StaticString, _ value: UnsafePointer<CChar>, to message: OpaquePointer) {
    _ = MHD_add_response_header(message, name.cString, value)
  }
}

private func bytes(_ start: UnsafePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
  UnsafeBufferPointer(start: UnsafeRawPointer(start)?.assumingMemoryBound(to: UInt8.self), count: count)
}

extension StaticString {
  /// A literal ends with a NUL.
  fileprivate var cString: UnsafePointer<CChar> {
    UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
  }
}
