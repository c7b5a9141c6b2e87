/// One connection of HTTP/1.1 (RFC 9112) without its socket: bytes go in; requests, refusals and the end of the
/// connection come out, always in the order in which they were sent.
///
/// One request is under way at a time. Bytes are read from where they were received; what is incomplete, or belongs to
/// the next request, is kept here. An idle connection keeps nothing. Not Sendable: it belongs to its connection.
package struct ConnectionMachine {
  /// What a connection does next.
  package enum Event {
    /// Wait: all bytes were read, and more must come.
    case waitForInput
    /// Wait: the request under way must be answered before more bytes are read.
    case waitForAnswer
    /// Answer this request, and tell with `answered` that it is done.
    case request(RequestHead, Request.Body)
    /// The content of a request that was `expected` when it began.
    case content(Request.Body)
    /// Answer that this is not a proper request, and tell with `answered` that it is done.
    case refusal(Refusal)
    /// Close the connection: nothing has come that could be answered.
    case close
  }

  private enum Phase {
    /// Between requests, or in the header section of one.
    case head
    case content
    case trailers
    /// The request is here as a whole.
    case end
    /// The connection ends with the answer under way, or ended with the last one. What comes is thrown away.
    case closing
  }

  private enum Answer {
    /// There is no request.
    case none
    /// The request was handed out.
    case awaited
    /// The answer was made before the request was here as a whole.
    case early
  }

  private let bounds: Bounds
  private let parser = RequestParser()
  private var phase = Phase.head
  private var answer = Answer.none
  /// What has come of an incomplete header section, or of the trailer section.
  private var section: [UInt8] = []
  /// Bytes after the request that is under way.
  private var pipelined: ArraySlice<UInt8> = []
  private var head: RequestHead?
  /// Bytes that the content took, its framing included.
  private var contentBytes = 0
  /// Bytes that came while the connection was closing.
  private var bytesWhileClosing = 0
  /// Whether the client waits for 100, and was not told to go on.
  private var awaitsContinue = false

  /// Limits that connections share.
  package final class Bounds: Sendable {
    fileprivate let limits: HTTPLimits

    package init(_ limits: HTTPLimits) { self.limits = limits }
  }

  package init(within bounds: Bounds) { self.bounds = bounds }

  private var limits: HTTPLimits {
    @inline(__always) _read { yield bounds.limits }
  }

  // MARK: State

  /// Whether more bytes must come for the request under way.
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

  /// Whether as much of further requests is kept as may be, or as much was thrown away while closing. A client that sends
  /// on waits then, and can read its answer; to close the connection at once could destroy that.
  package var isFull: Bool {
    pipelined.count >= limits.maximumPipelinedBytes || bytesWhileClosing >= limits.maximumDiscardedBytes
  }

  /// Whether the connection ends with the answer to the request under way, whatever the answer is.
  package var endsWithAnswer: Bool {
    guard case .awaited = answer, phaseIsOpen, let head else { return true }
    // Whether its content follows is not known: to read on would be a guess (RFC 9110, section 10.1.1).
    if awaitsContinue { return true }
    return !head.keepsConnection || (head.contentLength ?? 0) > UInt64(limits.maximumDiscardedBytes)
  }

  private var phaseIsOpen: Bool {
    if case .closing = phase { return false }
    return true
  }

  // MARK: Bytes

  /// Keeps bytes that cannot be read before the request under way is answered.
  package mutating func keep(_ input: UnsafeBufferPointer<UInt8>) { pipelined.append(contentsOf: input) }

  /// Whether bytes are kept that can be read now.
  package var hasReadable: Bool {
    if case .end = phase { return false }
    return !pipelined.isEmpty
  }

  /// Hands back what was kept, to be read.
  package mutating func takeKept() -> ArraySlice<UInt8> {
    defer { pipelined = [] }
    return pipelined
  }

  /// Keeps what is left of that.
  package mutating func putBack(_ rest: ArraySlice<UInt8>) { pipelined = rest }

  /// Reads on, and takes what it has read from `input`.
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
      // As a rule all of it is here, and lies where it was received.
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
    // llhttp and we have read the same.
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

  /// 100 (Continue) is sent for a request that was handed out as `expected`.
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
    // An answer was made, or is being made: the client is to see it before the connection is closed.
    guard contentBytes > limits.maximumDiscardedBytes else { return nil }
    if case .early = answer { answer = .none }
    phase = .closing
    return nil
  }

  /// Nil where it was told before.
  private mutating func tellTooLarge() -> Event? {
    guard parser.maximumKeptBytes > 0 else { return nil }
    parser.maximumKeptBytes = 0
    return deliver(.tooLarge(maximumBytes: limits.maximumBodyBytes))
  }

  private mutating func endContent(_ input: inout UnsafeBufferPointer<UInt8>) -> Event? {
    if case .trailers = phase {
      // Nobody reads them, but two readers must agree on where they end.
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

  /// The request under way, or the refusal, was answered.
  /// - Parameter closes: whether the answer says that the connection ends with it.
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

  /// From here on nothing that comes is looked at.
  private mutating func refuse(_ refusal: Refusal, _ input: inout UnsafeBufferPointer<UInt8>) -> Event {
    bytesWhileClosing += input.count
    input = UnsafeBufferPointer(rebasing: input[input.endIndex...])
    return refuse(refusal)
  }

  /// Refuses what has come of a request, because no more of it is waited for.
  package mutating func refuse(_ refusal: Refusal) -> Event {
    // Empty lines are no request yet (RFC 9112, section 2.2).
    let isEmpty = refusal == .timedOut && section.allSatisfy { "\r\n".utf8.contains($0) }
    if case .head = phase, isEmpty { return .close }
    phase = .closing
    section = []
    switch answer {
    case .none: return .refusal(refusal)
    // Its handler answers, and the connection ends with that.
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
