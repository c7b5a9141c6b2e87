internal import Encoding
public import EventLoop
internal import Glibc
private import Synchronization

/// An HTTP/1.1 server on one event loop: accepts connections, and holds what they share.
///
/// `@unchecked Sendable`: everything except an atomic is confined to the loop, which each entry point asserts.
public final class HTTPServer: @unchecked Sendable {
  public let loop: EventLoop
  let limits: HTTPLimits
  let bounds: ConnectionMachine.Bounds
  let trustedProxies: TrustedProxies
  let responder: any Responder
  let handlers: Handlers
  /// The certificate for new connections; nil without TLS.
  private var identity: TLSIdentity?

  /// The listening sockets, one per address; none once the server shuts down.
  private var listening: [(descriptor: Int32, watch: DescriptorWatch)] = []
  /// Whether another process continues to listen at the sockets when this one ends.
  private let isListeningKept: Bool
  /// While the system has no free descriptor.
  private var acceptPause: Timer?
  private var connections: [ObjectIdentifier: Connection] = [:]
  private let openConnections = Atomic(0)
  let ledger: ConnectionLedger
  /// Connections between requests.
  let idle = ConnectionQueue()
  /// Connections whose handshake or request has not arrived completely, or whose client has not ended them after their
  /// last answer.
  let unfinished = ConnectionQueue()
  /// Whether new connections wait until one can be closed for them.
  private var isFull = false

  /// Whether the server is shutting down: every answer then ends its connection.
  private(set) var isDraining = false
  private var isShutDown = false
  private var whenDrained: (() -> Void)?
  /// Connections that have not sent a request yet.
  private var newConnections = 0
  private var sparesNewConnections = true
  /// Connections with a TLS handshake in progress, oldest first, and some whose handshake has ended.
  private var handshakes: [Connection] = []
  private var runningHandshakes = 0

  // Shared by the connections. Each uses them while it processes one event.

  /// Received bytes.
  let input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 * 1024)
  /// Plain bytes of TLS records.
  let plain = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: TLSSession.maximumRecordBytes)
  /// Bytes to send on the connection whose event is processed.
  let gathered = ByteBuffer(capacity: 64 * 1024, isSensitive: true)
  /// The same bytes as TLS records.
  let records = ByteBuffer(capacity: 16 * 1024)
  var writer: ResponseWriter
  let wheel: TimerWheel
  private var wheelTimer: Timer?
  private var isWatchingDeadlines = false
  private var requestIDs = RequestIDGenerator()

  /// Rounds in which a stopping server answers requests that arrived before it stopped.
  private static let maximumLastLooks = 10

  /// A field's name in its usual spelling, and its value.
  public typealias CommonField = (name: StaticString, value: StaticString)

  /// Starts serving. Call it on the loop.
  /// - Parameters:
  ///   - descriptors: the listening sockets of `Listener` for this loop, which the server closes.
  ///   - isListeningKept: whether another process continues to listen at them when this one ends.
  /// - tls: the certificate for new connections; nil for HTTP without TLS.
  /// - trustedProxies: the proxies whose `X-Forwarded-For` is used.
  /// - commonFields: fields of every answer, in addition to those that `Response` lists.
  /// - ledger: what servers count together; nil for a server that counts alone.
  public init(
    on loop: EventLoop, listening descriptors: [Int32], isListeningKept: Bool = false, tls: TLSIdentity? = nil,
    limits: HTTPLimits,
    trustedProxies: TrustedProxies = .none, commonFields: [CommonField] = [],
    ledger: ConnectionLedger? = nil, responder: any Responder
  ) throws(HTTPServerError) {
    loop.assertCurrent()
    self.loop = loop
    self.isListeningKept = isListeningKept
    self.limits = limits
    bounds = ConnectionMachine.Bounds(limits)
    self.trustedProxies = trustedProxies
    self.responder = responder
    self.ledger = ledger ?? ConnectionLedger(within: limits)
    handlers = Handlers(on: loop, responder)
    identity = tls
    writer = ResponseWriter(commonFields: commonFields)
    wheel = TimerWheel(tickMilliseconds: limits.deadlineTickMilliseconds, now: loop.nowMilliseconds)
    wheelTimer = Timer(on: loop)
    acceptPause = Timer(on: loop)
    do throws(EventLoopError) {
      for descriptor in descriptors {
        listening.append((descriptor, try DescriptorWatch(descriptor, on: loop)))
      }
    } catch {
      isShutDown = true
      closeTimers()
      for (_, watch) in listening { watch.close() }
      for descriptor in descriptors { close(descriptor) }
      throw HTTPServerError(description: "cannot poll the listening socket: \(error)")
    }
    for (descriptor, watch) in listening {
      boundUnsentBytes(of: descriptor)
      watch.start(for: .readable) { [unowned self] _ in
        accept(at: descriptor, atMost: limits.maximumAcceptsPerPass)
      }
    }
  }

  deinit {
    precondition(isShutDown, "shut the server down before it goes")
    input.deallocate()
    plain.deallocate()
  }

  /// Open connections. From any thread.
  public var connectionCount: Int { openConnections.load(ordering: .relaxed) }

  /// Uses another certificate for new connections; open connections continue. Only with TLS.
  public func present(_ identity: TLSIdentity) {
    loop.assertCurrent()
    precondition(self.identity != nil, "a server without TLS shows no certificate")
    self.identity = identity
  }

  /// Without it, the system keeps megabytes for a client that does not read (tcp_wmem), which no bound of ours counts.
  /// Accepted connections inherit it.
  private func boundUnsentBytes(of descriptor: Int32) {
    var bytes = Int32(limits.maximumUnsentBytes)
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &bytes, socklen_t(MemoryLayout<Int32>.size))
  }

  // MARK: Accepting

  private func accept(at listening: Int32, atMost maximum: Int) {
    for _ in 0..<maximum {
      guard hasRoom || idle.oldest != nil || unfinished.oldest != nil else {
        isFull = true
        return watchListening(for: [])
      }
      var address = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let descriptor = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.accept(listening, $0, &length) }
      }
      guard descriptor >= 0 else { return acceptFailed(errno) }
      admit(descriptor, peer: IPAddress(address))
    }
  }

  /// Waits for connections at all addresses, or at none.
  private func watchListening(for interest: DescriptorWatch.Readiness) {
    for (_, watch) in listening { watch.change(to: interest) }
  }

  private var hasRoom: Bool { connections.count < limits.maximumConnectionsPerLoop }

  /// Closes the connection if its address has too many, else opens it.
  private func admit(_ descriptor: Int32, peer: IPAddress) {
    guard trustedProxies.contains(peer) || ledger.begin(peer.network) else {
      ledger.noteClosed(for: .address)
      close(descriptor)
      return
    }
    if !hasRoom { makeRoom() }
    if !open(descriptor, peer: peer) {
      close(descriptor)
      forget(peer)
    }
  }

  /// Closes the connection that has been idle longest. The system has chosen this loop for the new connection, so only
  /// connections of this loop make room for it.
  private func makeRoom() {
    guard idle.oldest != nil else {
      unfinished.oldest?.end(for: .unfinished)
      return
    }
    for _ in 0..<limits.maximumSparedConnections {
      // It is idle only until its request is read.
      guard let oldest = idle.oldest, oldest.hasUnreadInput else { break }
      idle.remove(oldest)
      idle.append(oldest)
    }
    idle.oldest?.end(for: .idle)
  }

  /// A connection can be closed for a new one.
  func canMakeRoom() {
    guard isFull else { return }
    isFull = false
    if !isDraining, acceptPause?.isActive != true { watchListening(for: .readable) }
  }

  private func forget(_ peer: IPAddress) {
    if !trustedProxies.contains(peer) { ledger.end(peer.network) }
  }

  private func acceptFailed(_ code: Int32) {
    switch code {
    case EMFILE, ENFILE, ENOBUFS, ENOMEM:
      // The connection stays in the backlog, and the loop would report it again at once.
      watchListening(for: [])
      acceptPause?.start(afterMilliseconds: limits.acceptPauseMilliseconds) { [unowned self] in
        watchListening(for: .readable)
      }
    // No connection is left, or the client of the next one has given up (accept(2)).
    default: break
    }
  }

  /// False if it cannot be used; then the caller closes it.
  private func open(_ descriptor: Int32, peer: IPAddress) -> Bool {
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    var tls: TLSSession?
    if let identity {
      tls = TLSSession(showing: identity, records: records)
      guard tls != nil else { return false }
    }
    do throws(EventLoopError) {
      let connection = try Connection(of: self, descriptor: descriptor, peer: peer, tls: tls)
      connections[ObjectIdentifier(connection)] = connection
      openConnections.store(connections.count, ordering: .relaxed)
      newConnections += 1
      if tls != nil { beganHandshake(connection) }
      connection.start()
      return true
    } catch {
      return false
    }
  }

  func closed(_ connection: Connection) {
    connections[ObjectIdentifier(connection)] = nil
    openConnections.store(connections.count, ordering: .relaxed)
    forget(connection.peer)
    canMakeRoom()
    endIfDrained()
  }

  func endedNewness() {
    newConnections -= 1
    endIfDrained()
  }

  // MARK: Handshakes

  /// The oldest handshake ends, so that a client that stops in its handshake cannot keep others out.
  private func beganHandshake(_ connection: Connection) {
    handshakes.append(connection)
    runningHandshakes += 1
    while runningHandshakes > limits.maximumHandshakesPerLoop, !handshakes.isEmpty {
      let oldest = handshakes.removeFirst()
      if oldest.isShakingHands { oldest.close() }
    }
    if handshakes.count > 2 * limits.maximumHandshakesPerLoop { handshakes.removeAll { !$0.isShakingHands } }
  }

  func endedHandshake() {
    runningHandshakes -= 1
    if runningHandshakes == 0 { handshakes = [] }
  }

  func nextRequestID() -> String { requestIDs.next() }

  // MARK: Deadlines

  /// Advances the timer wheel, while there is a deadline.
  func watchDeadlines() {
    guard !isWatchingDeadlines else { return }
    isWatchingDeadlines = true
    let tick = limits.deadlineTickMilliseconds
    wheelTimer?.start(afterMilliseconds: tick, repeatMilliseconds: tick) { [unowned self] in
      wheel.advance(to: loop.nowMilliseconds)
      guard wheel.count == 0 else { return }
      isWatchingDeadlines = false
      wheelTimer?.stop()
    }
  }

  private func closeTimers() {
    wheelTimer?.close()
    acceptPause?.close()
    (wheelTimer, acceptPause) = (nil, nil)
  }

  // MARK: Shutting down

  /// Stops accepting, waits at most `timeoutMilliseconds` for requests in progress, answers 503 to the rest, and
  /// closes every connection.
  public func shutDown(timeoutMilliseconds: Int) async {
    loop.assertCurrent()
    guard !isShutDown else { return }
    isDraining = true
    for (descriptor, watch) in listening {
      // Closing the socket resets the connections in its backlog, and one more could arrive after the last check. If the
      // socket is kept, those wait for the next process.
      if !isListeningKept { ListeningSocket.dropNewConnections(at: descriptor) }
      accept(at: descriptor, atMost: limits.listenBacklog)
      watch.close()
      close(descriptor)
    }
    listening = []
    await drain(timeoutMilliseconds: timeoutMilliseconds)
    for connection in connections.values { connection.abandon() }
    for connection in connections.values { connection.end() }
    handlers.close()
    isShutDown = true
    closeTimers()
  }

  /// Waits for requests in progress, and briefly for the first requests of new connections.
  private func drain(timeoutMilliseconds: Int) async {
    let timers = (all: Timer(on: loop), new: Timer(on: loop))
    var isOver = false
    timers.all.start(afterMilliseconds: timeoutMilliseconds) { [unowned self] in
      isOver = true
      whenDrained?()
    }
    let grace = min(timeoutMilliseconds, limits.firstRequestGraceMilliseconds)
    timers.new.start(afterMilliseconds: grace) { [unowned self] in
      sparesNewConnections = false
      endIfDrained()
    }
    // Closing a connection with an unread request would reset it.
    for _ in 0..<Self.maximumLastLooks {
      for connection in connections.values { connection.read() }
      guard !isOver, !isDrained else { break }
      await untilDrained()
    }
    timers.all.close()
    timers.new.close()
  }

  private func untilDrained() async {
    await withUnsafeContinuation { continuation in
      whenDrained = { [unowned self] in
        whenDrained = nil
        continuation.resume()
      }
    }
  }

  private var isDrained: Bool { handlers.runningCount == 0 && (newConnections == 0 || !sparesNewConnections) }

  func endIfDrained() { if isDrained { whenDrained?() } }
}

/// Why a server cannot start.
public struct HTTPServerError: Error, CustomStringConvertible {
  public let description: String
}
