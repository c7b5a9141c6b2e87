internal import CHiredis
internal import EventLoop

/// Owns a `redisAsyncContext`, and the watch on its socket. Used on one loop.
///
/// hiredis frees the context when the connection breaks; inside a callback, only after the callback has
/// returned. Before that it calls `cleanup` once, which stops the watch and clears the pointer. Until then the
/// context holds a strong reference to this object.
final class RedisLink {
  private let loop: EventLoop
  private let watch: DescriptorWatch
  private var context: UnsafeMutablePointer<redisAsyncContext>?
  private var interest: DescriptorWatch.Readiness = []
  private var isFlushPlanned = false
  private var isWriting = false
  private var isClosed = false
  private let whenAnswered: (RedisAnswer) -> Void
  private let whenLost: (RedisFailure) -> Void

  /// Starts connecting. Commands may follow immediately; they are sent when the connection is made.
  /// - Parameters:
  ///   - address: an IP address in text form, so that hiredis does not look up a name.
  ///   - whenAnswered: called for each command, in the order of sending.
  ///   - whenLost: called once if connecting fails or the connection breaks; no other callback follows.
  init(
    address: String, port: UInt16, on loop: EventLoop, whenAnswered: @escaping (RedisAnswer) -> Void,
    whenLost: @escaping (RedisFailure) -> Void
  ) throws(RedisFailure) {
    guard let context = redisAsyncConnect(address, Int32(port)) else {
      throw RedisFailure("no memory for a connection")
    }
    guard context.pointee.err == 0 else {
      defer { redisAsyncFree(context) }
      throw RedisFailure(String(cString: redis_error_text(context)))
    }
    do throws(EventLoopError) {
      watch = try DescriptorWatch(context.pointee.c.fd, on: loop)
    } catch {
      redisAsyncFree(context)
      throw RedisFailure(error.description)
    }
    self.loop = loop
    self.context = context
    self.whenAnswered = whenAnswered
    self.whenLost = whenLost
    attach(context)
    watch.start(for: []) { [weak self] in self?.handle($0) }
  }

  /// Sends the command, or queues it until the connection is made. False if the connection broke.
  func send(_ command: RedisCommand) -> Bool {
    guard !isClosed, let context else { return false }
    return command.withArguments { count, arguments, lengths in
      redisAsyncCommandArgv(
        context, { context, reply, _ in RedisLink.of(context?.pointee.data)?.takeReply(reply) }, nil, count,
        arguments, lengths) == REDIS_OK
    }
  }

  /// Closes the connection. No callback follows.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    if let context { redisAsyncFree(context) }
  }

  // MARK: hiredis calls

  /// Installs the hooks through which hiredis asks for readiness events.
  private func attach(_ context: UnsafeMutablePointer<redisAsyncContext>) {
    let me = Unmanaged.passRetained(self).toOpaque()
    context.pointee.data = me
    context.pointee.ev.data = me
    context.pointee.ev.addRead = { RedisLink.of($0)?.wait(for: .readable, true) }
    context.pointee.ev.delRead = { RedisLink.of($0)?.wait(for: .readable, false) }
    context.pointee.ev.addWrite = { RedisLink.of($0)?.planWrite() }
    context.pointee.ev.delWrite = { RedisLink.of($0)?.wait(for: .writable, false) }
    context.pointee.ev.cleanup = { RedisLink.of($0)?.cleanUp() }
  }

  private static func of(_ data: UnsafeMutableRawPointer?) -> RedisLink? {
    data.map { Unmanaged<RedisLink>.fromOpaque($0).takeUnretainedValue() }
  }

  /// A null reply means that the connection ended; `cleanUp` reports that once.
  private func takeReply(_ reply: UnsafeMutableRawPointer?) {
    guard !isClosed, let reply else { return }
    whenAnswered(RedisAnswer(reply.assumingMemoryBound(to: redisReply.self).pointee))
  }

  private func wait(for readiness: DescriptorWatch.Readiness, _ isWanted: Bool) {
    if isWanted { interest.formUnion(readiness) } else { interest.subtract(readiness) }
    watch.change(to: interest)
  }

  /// One write at the end of the pass sends everything that the pass queued. The loop waits for writability
  /// only while connecting, and while the socket is full.
  private func planWrite() {
    guard let context else { return }
    guard context.pointee.c.flags & REDIS_CONNECTED != 0, !isWriting else {
      return wait(for: .writable, true)
    }
    guard !isFlushPlanned else { return }
    isFlushPlanned = true
    loop.atEndOfPass { [self] in
      isFlushPlanned = false
      write()
    }
  }

  private func cleanUp() {
    guard let context else { return }
    self.context = nil
    watch.close()
    // From here on hiredis cannot call back, whatever it does before it frees the context.
    context.pointee.data = nil
    context.pointee.ev = .init()
    defer { Unmanaged.passUnretained(self).release() }
    guard !isClosed else { return }
    isClosed = true
    let text = String(cString: redis_error_text(context))
    whenLost(RedisFailure(text.isEmpty ? "connection lost" : text))
  }

  // MARK: The loop calls

  private func handle(_ readiness: DescriptorWatch.Readiness) {
    if readiness.contains(.readable), let context { redisAsyncHandleRead(context) }
    if readiness.contains(.writable) { write() }
  }

  private func write() {
    guard let context else { return }
    isWriting = true
    redisAsyncHandleWrite(context)
    isWriting = false
  }
}
