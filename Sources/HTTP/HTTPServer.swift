internal import CMicrohttpd
public import EventLoop
internal import Glibc
private import Synchronization

/// An HTTP/1.1 server on one event loop: a libmicrohttpd daemon whose epoll descriptor the loop watches.
///
/// The daemon calls back on the loop's thread, inside `pump`. `@unchecked Sendable`: everything here but an atomic is
/// confined to the loop, which each entry asserts.
public final class HTTPServer: @unchecked Sendable {
  let loop: EventLoop
  let limits: HTTPLimits
  let trustedProxies: TrustedProxies
  let responder: any Responder
  /// Fields that every answer has, beside those that every answer of any server has.
  let commonFields: [CommonField]
  /// What new connections are shown; nil without TLS.
  private var identity: TLSIdentity?
  private let listening: Int32
  private var daemon: OpaquePointer?
  private var watch: DescriptorWatch?
  private var sweepTimer: Timer?
  private var isPumpDue = false

  private var connections: [ObjectIdentifier: Connection] = [:]
  private let openConnections = Atomic(0)
  private var exchanges: [ObjectIdentifier: Exchange] = [:]
  /// Whether the server is shutting down: every answer then ends its connection.
  private(set) var isDraining = false
  private var whenDrained: (() -> Void)?
  /// Connections that have not sent a request yet.
  private var newConnectionCount = 0
  private var sparesNewConnections = true
  /// Steps of connections and requests, since the beginning.
  private var stepCount = 0
  /// Requests whose handlers wait and whose connections the daemon has not put aside.
  var waitingCount = 0
  private var waitTimer: Timer?
  private var requestIDs = RequestIDGenerator()

  /// How long the daemon runs before the loop sees to its other work, the answers of the database among it. One run
  /// answers all that has come, which with thousands of connections takes a while.
  static let maximumPumpMilliseconds: Int64 = 10
  /// How long a handler may wait before its request is put aside.
  static let maximumWaitMilliseconds = 20
  /// Looks at what has come, when the server shuts down. Each takes ten connections and more.
  static let maximumLastLooks = 1000

  /// A field's name in its usual spelling, and its value.
  public typealias CommonField = (name: StaticString, value: StaticString)

  /// Starts to serve. Call it on the loop.
  /// - Parameters:
  ///   - descriptor: a listening socket of `Listener`, which the server closes.
  ///   - tls: what connections are shown, at first; nil for HTTP without TLS.
  ///   - trustedProxies: whose `X-Forwarded-For` counts.
  ///   - commonFields: fields that every answer has, beside those that `Response` lists.
  public init(
    on loop: EventLoop, listening descriptor: Int32, tls: TLSIdentity? = nil, limits: HTTPLimits,
    trustedProxies: TrustedProxies = .none, commonFields: [CommonField] = [], responder: any Responder
  ) throws(HTTPServerError) {
    loop.assertCurrent()
    self.loop = loop
    self.limits = limits
    self.trustedProxies = trustedProxies
    self.responder = responder
    self.commonFields = commonFields
    identity = tls
    listening = descriptor
    daemon = startDaemon(descriptor)
    guard let daemon else {
      close(descriptor)
      throw HTTPServerError(description: "libmicrohttpd does not start")
    }
    do {
      let watch = try DescriptorWatch(daemon_epoll_descriptor(daemon), on: loop)
      watch.start(for: .readable) { [unowned self] _ in pump() }
      self.watch = watch
    } catch {
      MHD_stop_daemon(daemon)
      self.daemon = nil
      throw HTTPServerError(description: "the event loop does not take libmicrohttpd's epoll: \(error)")
    }
    let sweepTimer = Timer(on: loop)
    sweepTimer.start(
      afterMilliseconds: limits.sweepIntervalMilliseconds, repeatMilliseconds: limits.sweepIntervalMilliseconds
    ) { [unowned self] in sweep() }
    self.sweepTimer = sweepTimer
    waitTimer = Timer(on: loop)
  }

  deinit { precondition(daemon == nil, "shut the server down before it goes") }

  /// Open connections. From any thread.
  public var connectionCount: Int { openConnections.load(ordering: .relaxed) }

  /// Shows new connections another certificate; those that are open go on as they are. Only where there is TLS.
  public func present(_ identity: TLSIdentity) {
    loop.assertCurrent()
    precondition(self.identity != nil, "a server without TLS shows no certificate")
    self.identity = identity
  }

  /// Stops accepting, waits until what is in flight is answered, `timeoutMilliseconds` at the most, answers 503
  /// to the rest, and closes every connection.
  public func shutDown(timeoutMilliseconds: Int) async {
    loop.assertCurrent()
    guard let daemon else { return }
    isDraining = true
    // Between the last look and the end of the socket one more could come, and would be reset.
    turn_away_new_connections(listening)
    takeWhatCame()
    let descriptor = MHD_quiesce_daemon(daemon)
    if descriptor >= 0 { close(descriptor) }
    await drain(timeoutMilliseconds: timeoutMilliseconds)
    // A daemon must not be stopped while a connection of it is suspended.
    for exchange in exchanges.values { exchange.abandon() }
    pump()
    sweepTimer?.close()
    waitTimer?.close()
    watch?.close()
    self.daemon = nil
    MHD_stop_daemon(daemon)
  }

  /// Closing the socket would reset the connections that wait on it, and ending a connection what waits there unread.
  private func takeWhatCame() {
    var looksInVain = 0
    for _ in 0..<Self.maximumLastLooks where looksInVain < 2 {
      let before = stepCount
      pump()
      looksInVain = stepCount == before ? looksInVain + 1 : 0
    }
  }

  /// Waits for what is in flight; and for the first requests of new connections, but not for long.
  private func drain(timeoutMilliseconds: Int) async {
    guard !isDrained else { return }
    let timers = (all: Timer(on: loop), new: Timer(on: loop))
    await withUnsafeContinuation { continuation in
      whenDrained = { [unowned self] in
        whenDrained = nil
        continuation.resume()
      }
      timers.all.start(afterMilliseconds: timeoutMilliseconds) { [unowned self] in whenDrained?() }
      let grace = min(timeoutMilliseconds, limits.firstRequestGraceMilliseconds)
      timers.new.start(afterMilliseconds: grace) { [unowned self] in
        sparesNewConnections = false
        endIfDrained()
      }
    }
    timers.all.close()
    timers.new.close()
  }

  private var isDrained: Bool { exchanges.isEmpty && (newConnectionCount == 0 || !sparesNewConnections) }

  private func endIfDrained() { if isDrained { whenDrained?() } }

  // MARK: Running the daemon

  /// Lets the daemon do what there is to do. It says by a time-out of 0 that there is more, and a request would stall
  /// if it were not listened to.
  ///
  /// It says so too while handlers wait, when there may be nothing to do but wait: then what the last turn brought
  /// tells, and what that misses is seen to when those that wait are put aside.
  private func pump() {
    guard let daemon else { return }
    isPumpDue = false
    let end = MonotonicClock.milliseconds + Self.maximumPumpMilliseconds
    repeat {
      let before = stepCount
      MHD_run(daemon)
      var timeout: UInt64 = 0
      guard MHD_get_timeout(daemon, &timeout) == .YES, timeout == 0 else { return }
      if waitingCount > 0, stepCount == before { return pumpAfterWait() }
    } while MonotonicClock.milliseconds < end
    loop.submit { self.pumpSoon() }
  }

  /// Runs the daemon once behind all the tasks that are runnable now, however many of them have answered.
  func pumpSoon() {
    guard !isPumpDue else { return }
    isPumpDue = true
    loop.atEndOfPass { self.pump() }
  }

  private func pumpAfterWait() {
    guard let waitTimer, !waitTimer.isActive else { return }
    waitTimer.start(afterMilliseconds: Self.maximumWaitMilliseconds) { [unowned self] in pump() }
  }

  /// Ends connections that were given time enough. Also gives the daemon its turn to end silent ones.
  private func sweep() {
    let now = loop.nowMilliseconds
    for connection in connections.values { connection.enforceTimeouts(limits, now: now) }
    pump()
  }

  // MARK: What the daemon tells

  fileprivate func opened(_ connection: Connection, _ handle: OpaquePointer) {
    connections[ObjectIdentifier(connection)] = connection
    newConnectionCount += 1
    noteStep()
    openConnections.store(connections.count, ordering: .relaxed)
    if let identity { connection.secure(handle, with: identity) }
  }

  fileprivate func closed(_ connection: Connection) {
    connections[ObjectIdentifier(connection)] = nil
    if connection.isNew { newConnectionCount -= 1 }
    openConnections.store(connections.count, ordering: .relaxed)
    endIfDrained()
  }

  fileprivate func began(_ exchange: Exchange, on connection: Connection) {
    exchanges[ObjectIdentifier(exchange)] = exchange
    if connection.isNew {
      connection.isNew = false
      newConnectionCount -= 1
    }
  }

  fileprivate func completed(_ exchange: Exchange) {
    exchanges[ObjectIdentifier(exchange)] = nil
    endIfDrained()
  }

  /// The daemon did something for a connection.
  func noteStep() { stepCount &+= 1 }

  func nextRequestID() -> String { requestIDs.next() }

  // MARK: Starting the daemon

  private func startDaemon(_ descriptor: Int32) -> OpaquePointer? {
    let me = Unmanaged.passUnretained(self).toOpaque()
    var options: [MHD_OptionItem] = []
    func set(_ option: MHD_OPTION, _ value: Int, _ pointer: UnsafeMutableRawPointer? = nil) {
      options.append(MHD_OptionItem(option: option, value: value, ptr_value: pointer))
    }
    func set(_ option: MHD_OPTION, callback: UnsafeRawPointer) { set(option, Int(bitPattern: callback), me) }

    set(.LISTEN_SOCKET, Int(descriptor))
    set(.CONNECTION_LIMIT, limits.maximumConnectionsPerLoop)
    set(.CONNECTION_TIMEOUT, limits.idleTimeoutSeconds)
    set(
      .CONNECTION_MEMORY_LIMIT,
      limits.maximumHeaderBytes + limits.maximumFieldLines * Self.memoryOfLine + Self.memoryOfAnswer)
    set(.STRICT_FOR_CLIENT, 0)
    set(.SIGPIPE_HANDLED_BY_APP, 1)
    set(.URI_LOG_CALLBACK, callback: unsafeBitCast(onTarget, to: UnsafeRawPointer.self))
    set(.UNESCAPE_CALLBACK, callback: unsafeBitCast(onUnescape, to: UnsafeRawPointer.self))
    set(.NOTIFY_CONNECTION, callback: unsafeBitCast(onConnection, to: UnsafeRawPointer.self))
    set(.NOTIFY_COMPLETED, callback: unsafeBitCast(onCompleted, to: UnsafeRawPointer.self))
    var flags = MHD_USE_EPOLL.rawValue | MHD_ALLOW_SUSPEND_RESUME.rawValue
    if identity != nil {
      flags |= MHD_USE_TLS.rawValue
      set(.HTTPS_PRIORITIES, 0, UnsafeMutableRawPointer(mutating: Self.tlsVersions.utf8Start))
      set(.HTTPS_CERT_CALLBACK, 0, unsafeBitCast(onMissingCertificate, to: UnsafeMutableRawPointer.self))
    }
    set(.END, 0)
    return options.withUnsafeMutableBufferPointer { options in
      withVaList([MHD_OPTION.ARRAY.rawValue, options.baseAddress!, MHD_OPTION.END.rawValue]) {
        MHD_start_daemon_va(flags, 0, nil, nil, onRequest, me, $0)
      }
    }
  }

  /// TLS 1.2 and 1.3, with what GnuTLS thinks normal (GnuTLS manual, "Priority strings").
  private static let tlsVersions: StaticString = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

  /// Of a connection's memory, what libmicrohttpd's record of a field takes, and what is left for the answer's header.
  private static let memoryOfLine = 56
  private static let memoryOfAnswer = 1536
}

/// Why a server does not start.
public struct HTTPServerError: Error, CustomStringConvertible {
  public let description: String
}

// MARK: Callbacks of libmicrohttpd. All come on the loop's thread, inside MHD_run or MHD_stop_daemon.

private func server(_ pointer: UnsafeMutableRawPointer?) -> HTTPServer {
  Unmanaged<HTTPServer>.fromOpaque(pointer!).takeUnretainedValue()
}

/// A connection was opened or closed. The daemon's context of it holds our `Connection`.
private let onConnection: MHD_NotifyConnectionCallback = { cls, connection, context, code in
  if code == .CONNECTION_NOTIFY_STARTED {
    let handle = connection!
    var octets: (UInt64, UInt64) = (0, 0)
    let peer = withUnsafeMutableBytes(of: &octets) { octets in
      connection_peer(handle, octets.baseAddress!.assumingMemoryBound(to: UInt8.self))
      return IPAddress(octets: UnsafeRawBufferPointer(octets))
    }
    let connection = Connection(descriptor: connection_descriptor(handle), peer: peer)
    context!.pointee = Unmanaged.passUnretained(connection).toOpaque()
    server(cls).opened(connection, handle)
  } else if let context = context?.pointee {
    server(cls).closed(Unmanaged<Connection>.fromOpaque(context).takeUnretainedValue())
  }
}

/// The daemon has no certificate of its own: each connection is given one when it opens (`Connection.secure`), and
/// a handshake that comes to this fails. The type is GnuTLS's `gnutls_certificate_retrieve_function2`.
private let onMissingCertificate:
  @convention(c) (
    OpaquePointer?, UnsafeRawPointer?, Int32, UnsafeRawPointer?, Int32, UnsafeMutableRawPointer?,
    UnsafeMutableRawPointer?, UnsafeMutableRawPointer?
  ) -> Int32 = { _, _, _, _, _, _, _, _ in -1 }

/// The request line is here. What this returns is the request's context from now on.
private let onTarget:
  @convention(c) (
    UnsafeMutableRawPointer?, UnsafePointer<CChar>?, OpaquePointer?
  ) -> UnsafeMutableRawPointer? = { cls, target, connection in
    guard let target, let connection, let context = connection_context(connection) else { return nil }
    let server = server(cls)
    let peer = Unmanaged<Connection>.fromOpaque(context).takeUnretainedValue()
    let exchange = Exchange(server: server, handle: connection, connection: peer, target: target)
    server.began(exchange, on: peer)
    return Unmanaged.passUnretained(exchange).toOpaque()
  }

/// Leaves the target as it was received.
private let onUnescape:
  @convention(c) (
    UnsafeMutableRawPointer?, OpaquePointer?, UnsafeMutablePointer<CChar>?
  ) -> Int = { _, _, text in text.map { strlen($0) } ?? 0 }

/// The header is here; then for each piece of the body; then once more, when the request is complete, and when
/// its connection was resumed.
private let onRequest: MHD_AccessHandlerCallback = { _, _, _, method, version, data, length, context in
  guard let context = context?.pointee, let length else { return .NO }
  let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
  let piece = UnsafeRawBufferPointer(start: data, count: length.pointee)
  length.pointee = 0
  return exchange.proceed(method: method!, version: version!, piece: piece)
}

/// The answer was sent, or the connection broke.
private let onCompleted: MHD_RequestCompletedCallback = { cls, _, context, _ in
  guard let pointer = context?.pointee else { return }
  context!.pointee = nil
  let exchange = Unmanaged<Exchange>.fromOpaque(pointer).takeUnretainedValue()
  exchange.complete()
  server(cls).completed(exchange)
}
