internal import Encoding
internal import EventLoop
internal import Glibc

/// One client's connection: reads its socket, runs `ConnectionMachine` on the bytes, passes requests to the responder,
/// and sends the answers.
///
/// `@unchecked Sendable`: confined to its server's loop; the tasks that answer prefer that loop.
final class Connection: ContentSource, @unchecked Sendable {
  /// Releases the closed connection.
  private let server: HTTPServer
  private let descriptor: Int32
  let peer: IPAddress
  private let watch: DescriptorWatch
  private let tls: TLSSession?
  private var machine: ConnectionMachine
  private var state = State.open
  /// The request that is being answered.
  private var exchange: Exchange?
  private var exchangeCount: UInt64 = 0
  private var output: Output
  private var wait = Wait.nothing
  /// Its place in the queue of its server that `wait` names, if any.
  var links = ConnectionQueue.Links()
  /// The party of the last answer.
  private var party: Party
  /// Of the bytes that wait for the client to read.
  private var unread: UnreadAnswers.Claim?
  /// Of an answer that waits for the client: when the client must have read it, and what it had not read at the last look.
  private var sending = (endMilliseconds: 0, unsentBytes: 0)
  private lazy var deadline = Deadline { [unowned(unsafe) self] in timedOut() }
  /// Whether bytes are being processed further up the stack: then answers are gathered.
  private var isProcessing = false
  /// Whether the client's last byte was read.
  private var hasInputEnded = false
  /// Whether the client has ended its input, after bytes that are not read yet.
  private var isDisconnected = false

  private enum State {
    case open
    /// The last answer was sent; further input is discarded.
    case lingering
    case closed
  }

  /// What the deadline waits for.
  fileprivate enum Wait {
    /// A handler, which answers in bounded time.
    case nothing
    case handshake
    /// The next request.
    case idle
    /// The rest of the request.
    case arrival
    /// The client, which must take its answer.
    case sending
    /// The client's end of the connection.
    case lingering
  }

  /// A request that is being answered.
  private struct Exchange {
    let number: UInt64
    let request: Request
    var handler: Handler?
    /// The handler, if it waits for the content.
    var contentWaiter: UnsafeContinuation<Void, Never>?
  }

  /// Takes ownership of the descriptor. Throws if the loop cannot poll it; then the caller closes it.
  init(
    of server: HTTPServer, descriptor: Int32, peer: IPAddress, tls: TLSSession?
  ) throws(EventLoopError) {
    self.server = server
    self.descriptor = descriptor
    self.peer = peer
    self.tls = tls
    party = .address(peer.network)
    output = Output(to: descriptor, tls: tls)
    machine = ConnectionMachine(within: server.bounds)
    watch = try DescriptorWatch(descriptor, on: server.loop)
  }

  /// Whether the client has not sent a request yet.
  private(set) var isNew = true

  /// Whether the TLS handshake is in progress.
  var isShakingHands: Bool { tls.map { !$0.isOpen } ?? false && state != .closed }

  func start() {
    // `close` closes it, before the connection is released.
    watch.start(for: .readable) { [unowned(unsafe) self] in ready($0) }
    settle()
  }

  // MARK: Reading

  private func ready(_ readiness: DescriptorWatch.Readiness) {
    // The last reference may be released while this runs.
    withExtendedLifetime(self) {
      if readiness.contains(.writable) { settle() }
      if readiness.contains(.readable) {
        read()
      } else if readiness.contains(.disconnected) {
        noteDisconnection()
      }
      // The client does not wait until other connections are read.
      server.loop.runReadyTasks()
    }
  }

  /// Whether bytes have arrived that are not read.
  var hasUnreadInput: Bool {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) > 0
  }

  /// Reads the bytes that have arrived, if any.
  func read() {
    guard state != .closed, !hasInputEnded else { return }
    let buffer = server.input
    let count = recv(descriptor, buffer.baseAddress!, buffer.count, 0)
    if count > 0 {
      received(UnsafeBufferPointer(rebasing: buffer[..<count]))
    } else if count == 0 {
      endInput()
    } else if errno != EAGAIN, errno != EINTR {
      close()
    }
  }

  private func received(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let tls else { return process(bytes) }
    let wasOpen = tls.isOpen
    let progress = tls.read(bytes, into: server.plain) { piece in
      process(piece)
      return state != .closed
    }
    if !wasOpen, tls.isOpen {
      server.endedHandshake()
      acknowledgeAtOnce()
    }
    switch progress {
    case .done, .waiting: settle()
    case .ended: endInput()
    case .failed:
      flush()
      close()
    }
  }

  /// A TLS 1.3 handshake ends with the client's message. Its first request may wait for the acknowledgement of that
  /// (RFC 896), which the system delays by 40 ms because nothing is sent with it.
  private func acknowledgeAtOnce() {
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_QUICKACK, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// The client has hung up, or at least sends no more than the bytes that wait to be read.
  private func noteDisconnection() {
    isDisconnected = true
    exchange?.handler?.cancel()
    settle()
  }

  /// The client sends no more; it may still read.
  private func endInput() {
    guard state == .open, exchange != nil || isBlocked else { return close() }
    hasInputEnded = true
    exchange?.handler?.cancel()
    deliver(.lost)
    settle()
  }

  private func process(_ bytes: UnsafeBufferPointer<UInt8>) {
    isProcessing = true
    machine.keep(run(bytes))
    isProcessing = false
    settle()
  }

  /// Reads what was kept while the previous request was answered.
  private func processKept() {
    isProcessing = true
    let kept = machine.takeKept()
    let unread = kept.withUnsafeBufferPointer { run($0).count }
    machine.putBack(kept.suffix(unread))
    isProcessing = false
    settle()
  }

  /// Runs the machine on bytes, and answers requests that it refuses.
  private func run(_ bytes: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
    var rest = bytes
    // While a client does not take its answers, no further requests are read.
    while state != .closed, !isBlocked {
      switch machine.next(&rest) {
      case .waitForInput, .waitForAnswer: return rest
      case let event: handle(event)
      }
      if server.gathered.count >= server.limits.maximumGatheredBytes { flush() }
    }
    return rest
  }

  private func handle(_ event: ConnectionMachine.Event) {
    switch event {
    case .request(let head, let body): begin(head, body)
    case .content(let body): deliver(body)
    case .refusal(let refusal): refuse(refusal)
    case .close: close()
    case .waitForInput, .waitForAnswer: break
    }
  }

  // MARK: Requests

  private func begin(_ head: RequestHead, _ body: Request.Body) {
    noteRequest()
    let request = Request(
      id: head.requestID ?? server.nextRequestID(), head: head, body: body,
      client: server.trustedProxies.client(of: peer, head.fields), connection: self)
    exchangeCount += 1
    let number = exchangeCount
    exchange = Exchange(number: number, request: request)
    let handler = server.handlers.start(request, number, of: self)
    // The handler may have finished.
    guard exchange?.number == number else { return }
    exchange?.handler = handler
    if hasInputEnded || isDisconnected { handler.cancel() }
  }

  private func refuse(_ refusal: Refusal) {
    noteRequest()
    let requestID = server.nextRequestID()
    send(
      server.responder.refuse(refusal, requestID: requestID),
      .init(requestID: requestID, closes: true, isVersion10: false), isHead: false)
    machine.answered(closes: true)
  }

  private func noteRequest() {
    change(to: .nothing)
    if isNew {
      isNew = false
      server.endedNewness()
    }
  }

  func receiveContent() async {
    guard state == .open, exchange != nil else { return }
    machine.tellToContinue()
    server.gathered.append("HTTP/1.1 100 Continue\r\n\r\n")
    await withUnsafeContinuation { continuation in
      self.exchange?.contentWaiter = continuation
      if !isProcessing { settle() }
    }
  }

  private func deliver(_ body: Request.Body) {
    exchange?.request.receive(body)
    exchange?.contentWaiter?.resume()
    exchange?.contentWaiter = nil
  }

  // MARK: Answers

  /// A handler has answered.
  func finish(_ number: UInt64, _ response: Response) {
    answer(number, response)
    server.endIfDrained()
  }

  /// Answers 503 instead of the handler, because the server stops.
  func abandon() {
    guard let exchange else { return }
    exchange.handler?.cancel()
    answer(exchange.number, server.responder.refuse(.unavailable, requestID: exchange.request.id))
  }

  private func answer(_ number: UInt64, _ response: Response) {
    guard let exchange, exchange.number == number else { return }
    self.exchange = nil
    let request = exchange.request
    party = response.party.map(Party.named) ?? .address(request.client.network)
    let closes = response.closesConnection || machine.endsWithAnswer || server.isDraining
    send(
      response, .init(requestID: request.id, closes: closes, isVersion10: request.head.isVersion10),
      isHead: request.method == "HEAD")
    machine.answered(closes: closes)
    settle()
  }

  private func send(_ response: Response, _ circumstances: ResponseWriter.Circumstances, isHead: Bool) {
    server.writer.write(response, circumstances, to: server.gathered)
    guard let body = response.body, !isHead, response.status != 204 else { return }
    output.append(body, after: server.gathered)
  }

  // MARK: What comes next

  private var isBlocked: Bool { output.isBlocked }

  /// Sends the gathered answers, after the rest of earlier ones.
  private func flush() {
    guard state != .closed else { return server.gathered.removeAll() }
    if output.send(server.gathered, records: server.records) == .broken { close() }
  }

  /// Sends what is pending; then reads what was kept meanwhile, or waits for the next event.
  private func settle() {
    guard !isProcessing else { return }
    flush()
    countUnread()
    guard state != .closed else { return }
    if !isBlocked, machine.hasReadable { return processKept() }
    if state == .open, exchange == nil, !isBlocked, hasInputEnded || machine.isClosing { linger() }
    if state == .lingering, !isBlocked { endOutput() }
    guard state != .closed else { return }
    setInterest()
    setDeadline()
  }

  /// Counts the bytes that wait for the client, if there are any.
  private func countUnread() {
    guard isBlocked || unread != nil, state != .closed else { return }
    let answers = server.ledger.unreadAnswers
    if unread != nil {
      if isBlocked { return answers.reduce(&unread!, to: output.heldBytes) }
      return releaseUnread()
    }
    unread = answers.claim(output.heldBytes, for: party) { [weak self, loop = server.loop] in
      loop.submit { [weak self] in self?.end(for: .unread) }
    }
  }

  /// Closes the connection if the client has taken too long, or has read nothing while its party has too much unread.
  private func checkUnread() {
    let unsentBytes = output.unsentBytes
    let hasRead = unsentBytes != sending.unsentBytes
    if !hasRead, let unread, server.ledger.unreadAnswers.isBeyondBound(unread.party) {
      return end(for: .unreadOfParty)
    }
    guard server.loop.nowMilliseconds < sending.endMilliseconds else { return end() }
    sending.unsentBytes = unsentBytes
    watchReading()
  }

  private func watchReading() {
    let next = server.loop.nowMilliseconds + server.limits.unreadCheckMilliseconds
    server.wheel.set(deadline, at: min(next, sending.endMilliseconds))
    server.watchDeadlines()
  }

  private func releaseUnread() {
    if let unread { server.ledger.unreadAnswers.release(unread) }
    unread = nil
  }

  /// The last answer was sent. The system may take the end of TLS later.
  private func linger() {
    state = .lingering
    tls?.end()
    flush()
  }

  private func endOutput() {
    if hasInputEnded { return close() }
    shutdown(descriptor, Int32(SHUT_WR))
  }

  private func setInterest() {
    var interest: DescriptorWatch.Readiness = .readable
    if isBlocked {
      interest = [.writable, .disconnected]
    } else if hasInputEnded {
      interest = []
    } else if machine.isFull {
      interest = .disconnected
    }
    if hasInputEnded || isDisconnected { interest.remove(.disconnected) }
    watch.change(to: interest)
  }

  private func setDeadline() {
    let next = nextWait
    // Single bytes that a client sends or takes now and then do not extend the time.
    guard next != wait else { return }
    change(to: next)
    // An older entry in the wheel is ignored: clearing and setting it would double the work of each request.
    guard let milliseconds = server.limits.milliseconds(for: next) else { return }
    if next == .sending {
      sending = (server.loop.nowMilliseconds + milliseconds, output.unsentBytes)
      return watchReading()
    }
    server.wheel.set(deadline, at: server.loop.nowMilliseconds + milliseconds)
    server.watchDeadlines()
  }

  private func change(to next: Wait) {
    queue(of: wait)?.remove(self)
    wait = next
    guard let queue = queue(of: next) else { return }
    queue.append(self)
    server.canMakeRoom()
  }

  /// The queue of the connections that may be closed for new ones while they wait like this.
  private func queue(of wait: Wait) -> ConnectionQueue? {
    switch wait {
    case .idle: server.idle
    case .handshake, .arrival, .lingering: server.unfinished
    case .nothing, .sending: nil
    }
  }

  private var nextWait: Wait {
    if state == .lingering { return .lingering }
    if isShakingHands { return .handshake }
    if isBlocked { return .sending }
    if let exchange { return machine.isReceiving && exchange.contentWaiter != nil ? .arrival : .nothing }
    return machine.isReceiving ? .arrival : .idle
  }

  private func timedOut() {
    withExtendedLifetime(self) {
      switch wait {
      case .nothing: break
      case .handshake, .idle, .lingering: end()
      case .sending: checkUnread()
      case .arrival:
        change(to: .nothing)
        handle(machine.refuse(.timedOut))
        settle()
      }
    }
  }

  // MARK: The end

  /// Closes the connection, with a TLS alert if there is TLS.
  func end() {
    if state == .open, !isBlocked {
      tls?.end()
      flush()
    }
    close()
  }

  /// Closes the connection because of a bound.
  func end(for bound: ConnectionLedger.Bound) {
    guard state != .closed else { return }
    server.ledger.noteClosed(for: bound)
    // The system would keep the unread bytes and try to send them.
    if isBlocked { resetAtClose() }
    end()
  }

  private func resetAtClose() {
    var option = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<Glibc.linger>.size))
  }

  /// Closes the connection at once. Its handler continues, and its task is cancelled.
  func close() {
    guard state != .closed else { return }
    if isShakingHands { server.endedHandshake() }
    state = .closed
    server.gathered.removeAll()
    output.removeAll()
    releaseUnread()
    change(to: .nothing)
    server.wheel.remove(deadline)
    watch.close()
    Glibc.close(descriptor)
    exchange?.handler?.cancel()
    deliver(.lost)
    exchange = nil
    if isNew { server.endedNewness() }
    server.closed(self)
  }
}

extension HTTPLimits {
  /// Nil without a deadline.
  fileprivate func milliseconds(for wait: Connection.Wait) -> Int? {
    switch wait {
    case .nothing: nil
    case .handshake: handshakeTimeoutMilliseconds
    case .idle: idleTimeoutMilliseconds
    case .arrival: arrivalTimeoutMilliseconds
    case .sending: answerTimeoutMilliseconds
    case .lingering: lingerTimeoutMilliseconds
    }
  }
}
