internal import CGnuTLS
internal import Glibc

/// The TLS of one connection (RFC 8446, RFC 5246), without its socket: turns received records into plain bytes, and
/// plain bytes into records.
///
/// Not Sendable: it belongs to its connection. GnuTLS calls back only inside this type's functions.
final class TLSSession {
  /// The result of a step.
  enum Progress: Equatable {
    /// It is done.
    case done
    /// More records must come.
    case waiting
    /// The client ended its side (RFC 8446, section 6.1).
    case ended
    /// TLS failed: an alert is among the records to send, and nothing can follow it.
    case failed
  }

  private let session: gnutls_session_t
  /// The certificate, which GnuTLS needs as long as the session lasts.
  private let identity: TLSIdentity
  /// Records that were received and not read. Valid inside the calls that receive them.
  private var received = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
  /// The buffer for records to send. Its owner sends them.
  private let records: ByteBuffer
  private(set) var isOpen = false

  /// Bytes of one record's content (RFC 8446, section 5.1).
  static let maximumRecordBytes = 16 * 1024

  /// Nil if there is no memory left.
  /// - Parameter records: the buffer for records to send.
  init?(showing identity: TLSIdentity, records: ByteBuffer) {
    var session: gnutls_session_t?
    let flags = UInt32(GNUTLS_SERVER) | GNUTLS_NONBLOCK.rawValue | GNUTLS_NO_SIGNAL.rawValue
    guard gnutls_init(&session, flags) == GNUTLS_E_SUCCESS, let session else { return nil }
    self.session = session
    self.identity = identity
    self.records = records
    guard identity.present(in: session) else { return nil }
    gnutls_transport_set_ptr(session, Unmanaged.passUnretained(self).toOpaque())
    gnutls_transport_set_pull_function(session) { session, bytes, count in
      TLSSession.of(session).pull(bytes!, count)
    }
    gnutls_transport_set_push_function(session) { session, bytes, count in
      TLSSession.of(session).push(bytes!, count)
    }
  }

  deinit { gnutls_deinit(session) }

  private static func of(_ pointer: gnutls_transport_ptr_t?) -> TLSSession {
    Unmanaged<TLSSession>.fromOpaque(pointer!).takeUnretainedValue()
  }

  private func pull(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    guard !received.isEmpty else {
      gnutls_transport_set_errno(session, EAGAIN)
      return -1
    }
    let piece = received.prefix(count)
    bytes.copyMemory(from: piece.base.baseAddress! + piece.startIndex, byteCount: piece.count)
    received = UnsafeBufferPointer(rebasing: received[piece.endIndex...])
    return piece.count
  }

  private func push(_ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    records.append(UnsafeBufferPointer(start: bytes.assumingMemoryBound(to: UInt8.self), count: count))
    return count
  }

  /// Reads records: continues the handshake, and after it returns the plain bytes, piece by piece.
  /// - Parameters:
  ///   - plain: room for one record's content.
  /// - take: called with each piece. False stops the reading.
  func read(
    _ records: UnsafeBufferPointer<UInt8>, into plain: UnsafeMutableBufferPointer<UInt8>,
    _ take: (UnsafeBufferPointer<UInt8>) -> Bool
  ) -> Progress {
    received = records
    defer { received = UnsafeBufferPointer(start: nil, count: 0) }
    while !isOpen {
      let status = gnutls_handshake(session)
      if status == GNUTLS_E_SUCCESS {
        isOpen = true
      } else if status == GNUTLS_E_AGAIN || status == GNUTLS_E_INTERRUPTED {
        if received.isEmpty { return .waiting }
      } else if gnutls_error_is_fatal(status) != 0 {
        gnutls_alert_send_appropriate(session, status)
        return .failed
      }
    }
    while true {
      let count = gnutls_record_recv(session, plain.baseAddress!, plain.count)
      if count > 0 {
        guard take(UnsafeBufferPointer(rebasing: plain[..<count])) else { return .done }
        continue
      }
      if count == 0 { return .ended }
      let status = Int32(count)
      if status == GNUTLS_E_AGAIN || status == GNUTLS_E_INTERRUPTED {
        if received.isEmpty { return .waiting }
      } else if status == GNUTLS_E_REHANDSHAKE {
        // Renegotiation of TLS 1.2 is refused (RFC 5246, section 7.2.2).
        gnutls_alert_send(session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION)
      } else if gnutls_error_is_fatal(status) != 0 {
        gnutls_alert_send_appropriate(session, status)
        return .failed
      }
    }
  }

  /// Makes records of plain bytes. False if the session cannot send any more.
  func write(_ plain: UnsafeBufferPointer<UInt8>) -> Bool {
    var rest = plain
    while !rest.isEmpty {
      let count = gnutls_record_send(session, rest.baseAddress!, rest.count)
      guard count > 0 else { return false }
      rest = UnsafeBufferPointer(rebasing: rest[count...])
    }
    return true
  }

  /// Tells the client that nothing more will be sent (RFC 8446, section 6.1).
  func end() { if isOpen { gnutls_bye(session, GNUTLS_SHUT_WR) } }
}
