/// One connection of HTTP/1.1 (RFC 9112) without its socket: bytes go in; requests, refusals and the end of the
/// connection come out, always in the order in which they were sent.
///
/// One request is in progress at a time. Bytes are read where they were received; incomplete requests and the bytes of
/// later requests are kept here. An idle connection keeps nothing. Not Sendable: it belongs to its connection.
package struct ConnectionMachine {
  /// What a connection does next.
  package enum Event {
    /// Wait: all bytes were read, and more must come.
    case waitForInput
    /// Wait: the request in progress must be answered before more bytes are read.
    case waitForAnswer
    /// Answer this request, then call `answered`.
    case request(RequestHead, Request.Body)
    /// The content of a request that was `expected` when it began.
    case content(Request.Body)
    /// Refuse the request, then call `answered`.
    case refusal(Refusal)
    /// Close the connection: no request has started.
    case close
  }

  private enum Phase {
    /// Between requests, or in the header section of one.
    case head
    case content
    case trailers
    /// The request has arrived completely.
    case end
    /// The connection ends with the answer in progress, or ended with the last one. Further input is discarded.
    case closing
  }

  private enum Answer {
    /// There is no request.
    case none
    /// The request was passed to the responder.
    case awaited
    /// The answer was made before the request had arrived completely.
    case early
  }

  private let bounds: Bounds
  private let parser = RequestParser()
  private var phase = Phase.head
  private var answer = Answer.none
  /// The bytes so far of an incomplete header or trailer section.
  private var section: [UInt8] = []
  /// Bytes after the request in progress.
  private var pipelined: ArraySlice<UInt8> = []
  private var head: RequestHead?
  /// Bytes of the content, including its framing.
  private var contentBytes = 0
  /// Bytes that came while the connection was closing.
  private var bytesWhileClosing = 0
  /// Whether the client waits for 100 and has not received it.
  private var awaitsContinue = false

  /// Limits, shared by all connections.
  package final class Bounds: Sendable {
    fileprivate let limits: HTTPLimits

    package init(_ limits: HTTPLimits) { self.limits = limits }
  }

  package init(within bounds: Bounds) { self.bounds = bounds }

  private var limits: HTTPLimits {
    @inline(__always) _read { yield bounds.limits }
  }

  // MARK: State

  /// Whether the request in progress needs more bytes.
  package var isReceiving: Bool {
    switch phase {
    case .head: !section.isEmpty
    case .content, .trailers: true
    case .end, .closing: false
    }
  }

  /// Whether the last answer was made.
  package var isClosing: Bool {
    if case .closing = phase, case .none = answer { return true }
    return false
  }

  /// Whether the limit of kept input, or of discarded input while closing, is reached. A client that sends more then
  /// waits, and can read its answer; closing the connection at once could destroy the answer.
  package var isFull: Bool {
    pipelined.count >= limits.maximumPipelinedBytes || bytesWhileClosing >= limits.maximumDiscardedBytes
  }

  /// Whether the connection ends with the answer to the request in progress, whatever the answer is.
  package var endsWithAnswer: Bool {
    guard case .awaited = answer, phaseIsOpen, let head else { return true }
    // Nobody knows whether the content follows: reading on would be a guess (RFC 9110, section 10.1.1).
    if awaitsContinue { return true }
    return !head.keepsConnection || (head.contentLength ?? 0) > UInt64(limits.maximumDiscardedBytes)
  }

  private var phaseIsOpen: Bool {
    if case .closing = phase { return false }
    return true
  }

  // MARK: Bytes

  /// Keeps bytes that cannot be read before the request in progress is answered.
  package mutating func keep(_ input: UnsafeBufferPointer<UInt8>) { pipelined.append(contentsOf: input) }

  /// Whether bytes are kept that can be read now.
  package var hasReadable: Bool {
    if case .end = phase { return false }
    return !pipelined.isEmpty
  }

  /// Returns the kept bytes, to be read.
  package mutating func takeKept() -> ArraySlice<UInt8> {
    defer { pipelined = [] }
    return pipelined
  }

  /// Keeps the bytes that remain.
  package mutating func putBack(_ rest: ArraySlice<UInt8>) { pipelined = rest }

  /// Continues to read, and removes from `input` what it has read.
  package mutating func next(_ input: inout UnsafeBufferPointer<UInt8>) -> Event {
    while true {
      let event: Event?
      switch phase {
      case .head:
        guard !input.isEmpty else { return .waitForInput }
        event = readHead(&input)
      case .content, .trailers:
        guard !input.isEmpty else { return .waitForInput }
        event = readContent(&input)
      case .end: return .waitForAnswer
      case .closing: return discard(&input)
      }
      if let event { return event }
    }
  }

  private mutating func discard(_ input: inout UnsafeBufferPointer<UInt8>) -> Event {
    bytesWhileClosing += input.count
    input = UnsafeBufferPointer(rebasing: input[input.endIndex...])
    return .waitForInput
  }

  // MARK: The header section

  private mutating func readHead(_ input: inout UnsafeBufferPointer<UInt8>) -> Event? {
    let maximum = limits.maximumHeaderBytes + RequestHead.maximumBytesBesides
    let before = section.count
    let (stop, consumed): (RequestParser.Stop, Int)
    let bytes: [UInt8]
    if before == 0 {
      // Usually the section is complete and can be read where it was received.
      (stop, consumed) = parser.parse(input)
      let isWithin = consumed <= maximum
      if case .inputEnd = stop, isWithin {
        section = Array(input)
        input.removePrefix(consumed)
        return .waitForInput
      }
      bytes = isWithin ? Array(UnsafeBufferPointer(rebasing: input[..<consumed])) : []
      if !isWithin, !stop.isRefusal { return refuse(.headerTooLarge, &input) }
    } else {
      let piece = UnsafeBufferPointer(rebasing: input.prefix(maximum + 1 - before))
      (stop, consumed) = parser.parse(piece)
      section.append(contentsOf: UnsafeBufferPointer(rebasing: piece[..<consumed]))
      if section.count > maximum, !stop.isRefusal { return refuse(.headerTooLarge, &input) }
      if case .inputEnd = stop {
        input.removePrefix(consumed)
        return .waitForInput
      }
      bytes = section
    }
    if case .refused(let refusal) = stop { return refuse(refusal, &input) }
    input.removePrefix(consumed)
    section = []
    return begin(consume bytes, isWhole: stop == .requestEnd, &input)
  }

  private mutating func begin(
    _ bytes: consuming [UInt8], isWhole: Bool, _ input: inout UnsafeBufferPointer<UInt8>
  ) -> Event? {
    let head: RequestHead
    do throws(Refusal) { head = try RequestHead(consume bytes, limits: limits) } catch {
      return refuse(error, &input)
    }
    // llhttp and we agree on the request.
    guard
      isWhole ? !head.isChunked && head.contentLength ?? 0 == 0 : head.isChunked || head.contentLength != nil,
      head.contentLength == nil || parser.announcedLength == nil || head.contentLength == parser.announcedLength
    else { return refuse(.conflictingLengths, &input) }
    self.head = head
    contentBytes = 0
    if isWhole {
      phase = .end
      return handOut(.complete([]))
    }
    phase = .content
    guard (head.contentLength ?? 0) <= UInt64(limits.maximumBodyBytes) else {
      parser.maximumKeptBytes = 0
      awaitsContinue = head.expectsContinue
      return handOut(.tooLarge(maximumBytes: limits.maximumBodyBytes))
    }
    parser.maximumKeptBytes = limits.maximumBodyBytes
    if head.expectsContinue, input.isEmpty {
      awaitsContinue = true
      return handOut(.expected)
    }
    return nil
  }

  private mutating func handOut(_ content: Request.Body) -> Event? {
    guard let head else { return nil }
    answer = .awaited
    return .request(head, content)
  }

  // MARK: Content

  /// Sends 100 (Continue) for a request that was passed on as `expected`.
  package mutating func tellToContinue() { awaitsContinue = false }

  private mutating func readContent(_ input: inout UnsafeBufferPointer<UInt8>) -> Event? {
    awaitsContinue = false
    let (stop, consumed) = parser.parse(input)
    if case .refused(let refusal) = stop { return refuse(refusal, &input) }
    contentBytes += consumed
    if case .trailers = phase {
      section.append(contentsOf: UnsafeBufferPointer(rebasing: input[..<consumed]))
      guard section.count <= limits.maximumHeaderBytes else { return refuse(.headerTooLarge, &input) }
    }
    input.removePrefix(consumed)
    switch stop {
    case .lastChunk: phase = .trailers
    case .requestEnd: return endContent(&input)
    case .inputEnd, .headEnd, .refused: break
    }
    return testBounds(&input)
  }

  private mutating func testBounds(_ input: inout UnsafeBufferPointer<UInt8>) -> Event? {
    if head?.isChunked == true, case .content = phase {
      let overhead = contentBytes - parser.contentCount
      guard overhead <= limits.maximumChunkOverheadBytes + 8 * parser.contentCount else {
        return refuse(.invalidChunk, &input)
      }
    }
    if parser.contentCount > limits.maximumBodyBytes, let event = tellTooLarge() { return event }
    // The client must receive the answer, made or in progress, before the connection closes.
    guard contentBytes > limits.maximumDiscardedBytes else { return nil }
    if case .early = answer { answer = .none }
    phase = .closing
    return nil
  }

  /// Nil if it was reported before.
  private mutating func tellTooLarge() -> Event? {
    guard parser.maximumKeptBytes > 0 else { return nil }
    parser.maximumKeptBytes = 0
    return deliver(.tooLarge(maximumBytes: limits.maximumBodyBytes))
  }

  private mutating func endContent(_ input: inout UnsafeBufferPointer<UInt8>) -> Event? {
    if case .trailers = phase {
      // Trailers are not used, but two readers must agree on where they end.
      do throws(Refusal) {
        _ = try HeaderFields(section, maximumLines: limits.maximumFieldLines)
      } catch { return refuse(error, &input) }
      section = []
    }
    phase = .end
    if case .early = answer {
      beginNext()
      return nil
    }
    if parser.contentCount > limits.maximumBodyBytes { return tellTooLarge() }
    return deliver(.complete(parser.content))
  }

  private mutating func deliver(_ content: Request.Body) -> Event? {
    switch answer {
    case .none: handOut(content)
    case .awaited: .content(content)
    case .early: nil
    }
  }

  // MARK: Answers

  /// The request in progress, or the refusal, was answered.
  /// - Parameter closes: whether the answer announces the end of the connection.
  package mutating func answered(closes: Bool) {
    if closes || !phaseIsOpen {
      phase = .closing
      answer = .none
      (head, section, pipelined) = (nil, [], [])
      parser.reset()
    } else if case .end = phase {
      beginNext()
    } else {
      answer = .early
      parser.maximumKeptBytes = 0
    }
  }

  private mutating func beginNext() {
    phase = .head
    answer = .none
    head = nil
    parser.reset()
  }

  /// Ignores all input from now on.
  private mutating func refuse(_ refusal: Refusal, _ input: inout UnsafeBufferPointer<UInt8>) -> Event {
    bytesWhileClosing += input.count
    input = UnsafeBufferPointer(rebasing: input[input.endIndex...])
    return refuse(refusal)
  }

  /// Refuses an incomplete request, because no more of it is awaited.
  package mutating func refuse(_ refusal: Refusal) -> Event {
    // Empty lines do not start a request (RFC 9112, section 2.2).
    let isEmpty = refusal == .timedOut && section.allSatisfy { "\r\n".utf8.contains($0) }
    if case .head = phase, isEmpty { return .close }
    phase = .closing
    section = []
    switch answer {
    case .none: return .refusal(refusal)
    // Its handler answers, and the connection ends with that answer.
    case .awaited: return .content(.lost)
    case .early:
      answer = .none
      return .waitForInput
    }
  }
}

extension RequestParser.Stop {
  fileprivate var isRefusal: Bool {
    if case .refused = self { return true }
    return false
  }
}

extension UnsafeBufferPointer {
  fileprivate mutating func removePrefix(_ count: Int) {
    self = UnsafeBufferPointer(rebasing: dropFirst(count))
  }
}
