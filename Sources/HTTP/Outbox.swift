internal import Glibc

/// Bytes that wait to be sent on one connection, in order. The server gathers short ones and sends them without a
/// copy; what the socket does not take at once is kept here.
struct Outbox {
  /// The result of an attempt to send.
  enum Result {
    case sentAll
    /// The client must read first.
    case blocked
    /// The connection is broken.
    case broken
  }

  private struct Piece {
    let bytes: ByteBuffer
    var start = 0
  }

  /// A few: while a client does not read, its connection makes no further answers.
  private var pieces: [Piece] = []
  /// Bytes of the pieces, including what was sent of the first one: a piece is freed as a whole.
  private(set) var heldBytes = 0

  /// Pieces in one system call.
  private static let maximumPiecesAtOnce = 16

  var isEmpty: Bool { pieces.isEmpty }

  /// Adds bytes without copying them.
  mutating func append(_ bytes: ByteBuffer) {
    guard bytes.count > 0 else { return }
    pieces.append(Piece(bytes: bytes))
    heldBytes += bytes.count
  }

  /// Adds a copy of bytes.
  mutating func append(copy bytes: UnsafeBufferPointer<UInt8>, isSensitive: Bool) {
    guard !bytes.isEmpty else { return }
    let copy = ByteBuffer(capacity: bytes.count, isSensitive: isSensitive)
    copy.append(bytes)
    append(copy)
  }

  /// Bytes that were not sent.
  var unsentBytes: Int { pieces.reduce(0) { $0 + $1.bytes.count - $1.start } }

  mutating func removeAll() { (pieces, heldBytes) = ([], 0) }

  /// Sends as much as the socket takes.
  mutating func send(to descriptor: Int32) -> Result {
    while !isEmpty {
      let count = withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.maximumPiecesAtOnce) { vectors in
        var used = 0
        for piece in pieces.prefix(Self.maximumPiecesAtOnce) {
          vectors[used] = iovec(
            iov_base: piece.bytes.start + piece.start, iov_len: piece.bytes.count - piece.start)
          used += 1
        }
        var message = msghdr()
        (message.msg_iov, message.msg_iovlen) = (vectors.baseAddress!, used)
        return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
      }
      guard count >= 0 else { return errno == EAGAIN || errno == EINTR ? .blocked : .broken }
      drop(count)
    }
    return .sentAll
  }

  /// Calls `body` with the next bytes, at most `maximum`, and removes them.
  mutating func take(atMost maximum: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Bool) -> Bool {
    guard !isEmpty else { return true }
    let piece = pieces[0]
    let count = min(maximum, piece.bytes.count - piece.start)
    let isTaken = body(UnsafeBufferPointer(start: piece.bytes.start + piece.start, count: count))
    drop(count)
    return isTaken
  }

  private mutating func drop(_ count: Int) {
    var rest = count
    while !isEmpty {
      let length = pieces[0].bytes.count - pieces[0].start
      guard rest >= length else {
        pieces[0].start += rest
        return
      }
      rest -= length
      heldBytes -= pieces.removeFirst().bytes.count
    }
  }
}
