internal import Glibc

/// Sends a connection's answers, plain or as TLS records. Keeps what the socket does not take at once.
struct Output {
  private let descriptor: Int32
  private let tls: TLSSession?
  /// Answers that the socket has not taken yet; with TLS, before they are records.
  private var outbox = Outbox()
  /// Records that the socket has not taken yet.
  private var recordOutbox = Outbox()

  /// Bytes of an answer's content that are copied, so that one system call sends everything. Longer content is sent
  /// without a copy.
  private static let maximumCopiedBytes = 16 * 1024
  /// Bytes of answers that become TLS records at a time while a client reads slowly.
  private static let maximumEncryptedBytes = 64 * 1024

  init(to descriptor: Int32, tls: TLSSession?) {
    self.descriptor = descriptor
    self.tls = tls
  }

  /// Whether the client must read before more can be sent.
  var isBlocked: Bool { !outbox.isEmpty || !recordOutbox.isEmpty }

  /// Bytes that are kept for the client.
  var heldBytes: Int { outbox.heldBytes + recordOutbox.heldBytes }

  /// Bytes that the system has not taken; they become fewer when the client reads.
  var unsentBytes: Int { outbox.unsentBytes + recordOutbox.unsentBytes }

  /// Frees what is kept.
  mutating func removeAll() {
    outbox.removeAll()
    recordOutbox.removeAll()
  }

  /// Adds an answer's content after what was gathered.
  mutating func append(_ body: ByteBuffer, after gathered: ByteBuffer) {
    guard body.count > Self.maximumCopiedBytes else { return body.withBytes { gathered.append($0) } }
    gathered.withBytes { outbox.append(copy: $0, isSensitive: gathered.isSensitive) }
    gathered.removeAll()
    outbox.append(body)
  }

  /// Sends what was left before, then the gathered bytes, which it takes.
  /// - Parameter records: the buffer for TLS records, which are sent too.
  mutating func send(_ gathered: ByteBuffer, records: ByteBuffer) -> Outbox.Result {
    guard let tls else { return transmit(gathered, after: &outbox) }
    if isBlocked {
      gathered.withBytes { outbox.append(copy: $0, isSensitive: gathered.isSensitive) }
    } else if !gathered.withBytes({ tls.write($0) }) {
      return .broken
    }
    gathered.removeAll()
    while true {
      let result = transmit(records, after: &recordOutbox)
      guard result == .sentAll, !outbox.isEmpty else { return result }
      guard outbox.take(atMost: Self.maximumEncryptedBytes, { tls.write($0) }) else { return .broken }
    }
  }

  private func transmit(_ bytes: ByteBuffer, after outbox: inout Outbox) -> Outbox.Result {
    defer { bytes.removeAll() }
    guard outbox.isEmpty else {
      bytes.withBytes { outbox.append(copy: $0, isSensitive: bytes.isSensitive) }
      return outbox.send(to: descriptor)
    }
    let isSensitive = bytes.isSensitive
    return bytes.withBytes { bytes -> Outbox.Result in
      guard !bytes.isEmpty else { return .sentAll }
      let count = Glibc.send(descriptor, bytes.baseAddress!, bytes.count, Int32(MSG_NOSIGNAL))
      if count == bytes.count { return .sentAll }
      guard count >= 0 || errno == EAGAIN || errno == EINTR else { return .broken }
      outbox.append(copy: UnsafeBufferPointer(rebasing: bytes[max(0, count)...]), isSensitive: isSensitive)
      return .blocked
    }
  }
}
