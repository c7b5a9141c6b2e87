internal import CMicrohttpd
internal import Glibc

/// A client's connection, as far as its time-outs go, and whose it is.
///
/// libmicrohttpd's own time-out is for silence: who drips a byte now and then is never silent. So a request has
/// a time to arrive in, counted from when its first bytes are seen, and an answer a time to be taken.
final class Connection {
  private enum Phase {
    /// Silent, or about to send: the bytes received when this was last seen to; nil until then.
    case waiting(bytesReceived: UInt64?)
    case arriving(since: Int)
    case handling
    case answering(since: Int)
  }

  private let descriptor: Int32
  /// The other side.
  let peer: IPAddress
  /// What the client was shown, which GnuTLS needs for as long as the connection lasts.
  private var identity: TLSIdentity?
  private var phase = Phase.waiting(bytesReceived: 0)
  /// Whether it has not sent a request yet.
  var isNew = true

  init(descriptor: Int32, peer: IPAddress) {
    self.descriptor = descriptor
    self.peer = peer
  }

  /// Shows the client this certificate. Before the handshake.
  func secure(_ handle: OpaquePointer, with identity: TLSIdentity) {
    self.identity = identity
    guard let session = connection_tls_session(handle), identity.present(in: OpaquePointer(session)) else {
      shutdown(descriptor, Int32(SHUT_RDWR))
      return
    }
  }

  func requestBegan(now: Int) {
    if case .waiting = phase { phase = .arriving(since: now) }
  }
  func requestArrived() { phase = .handling }
  func answerBegan(now: Int) { phase = .answering(since: now) }
  func answerEnded() { phase = .waiting(bytesReceived: nil) }

  /// Ends the connection if its time is over. libmicrohttpd then finds it closed by the other side.
  func enforceTimeouts(_ limits: HTTPLimits, now: Int) {
    switch phase {
    case .waiting(let before):
      let received = bytes_received(descriptor)
      phase = received > before ?? .max ? .arriving(since: now) : .waiting(bytesReceived: received)
    case .arriving(let since) where now - since >= limits.arrivalTimeoutMilliseconds,
      .answering(let since) where now - since >= limits.answerTimeoutMilliseconds:
      shutdown(descriptor, Int32(SHUT_RDWR))
    case .arriving, .handling, .answering: break
    }
  }
}
