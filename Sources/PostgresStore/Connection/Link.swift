internal import CPostgres
internal import EventLoop
private import Registry

/// A live connection's calls to libpq, non-blocking and in pipeline mode, and the watch on its socket.
/// Used on one loop. Each sender answers false where the connection broke; `failure` says how.
final class PostgresLink {
  private let handle: PostgresHandle
  private let watch: DescriptorWatch
  private let loop: EventLoop
  private var isFlushPlanned = false
  private var isClosed = false
  /// Parameters of the statement that is being sent; kept for its capacity.
  private var encoded: [UInt8] = []

  private static let binary: Int32 = 1

  /// Below our own deadline, so that a slow statement fails alone and its neighbours live.
  private static let statementTimeoutMilliseconds = 4000

  /// Settings of a session that the URL, the role or the database left open.
  private static let sessionSetup = """
    SELECT set_config('default_transaction_isolation', 'read committed', false),
      CASE current_setting('statement_timeout') WHEN '0'
        THEN set_config('statement_timeout', '\(statementTimeoutMilliseconds)', false) END,
      \(PostgresParameters.serverSideSetup)
    """

  init(
    _ handle: PostgresHandle, on loop: EventLoop, whenReadable: @escaping () -> Void
  ) throws(PostgresFailure) {
    guard PQsetnonblocking(handle.pointer, 1) == 0, PQenterPipelineMode(handle.pointer) == 1 else {
      throw PostgresFailure(lost: handle.pointer)
    }
    do throws(EventLoopError) {
      watch = try DescriptorWatch(PQsocket(handle.pointer), on: loop)
    } catch {
      throw PostgresFailure(message: error.description)
    }
    self.handle = handle
    self.loop = loop
    watch.start(for: .readable) { _ in whenReadable() }
  }

  /// Ends the session. The socket goes with the handle, after its watch.
  func close() {
    isClosed = true
    watch.close()
  }

  var isBroken: Bool { handle.isBroken }

  var failure: PostgresFailure { PostgresFailure(lost: handle.pointer) }

  // MARK: Sending

  func sendSetup() -> Bool {
    synchronise(
      PQsendQueryParams(
        handle.pointer, Self.sessionSetup, 0, nil, nil, nil, nil, Self.binary))
  }

  func sendPrepare(_ statement: PreparedStatement) -> Bool {
    synchronise(PQsendPrepare(handle.pointer, statement.name, statement.sql, 0, nil))
  }

  /// Sends a statement: a write with a synchronisation point after it. Reads are only buffered, until
  /// `synchronise` puts one point after them all: libpq makes a system call for each point.
  func send(_ statement: PreparedStatement, _ values: [PostgresValue]) -> Bool {
    encoded.removeAll(keepingCapacity: true)
    // Where each value lies in `encoded`; nil for a null.
    let ranges = values.map { value -> Range<Int>? in
      let start = encoded.count
      return value.encode(into: &encoded) ? start..<encoded.count : nil
    }
    // An empty text needs a pointer too, or it would be a null.
    encoded.append(0)
    let lengths = ranges.map { Int32($0?.count ?? 0) }
    let formats = [Int32](repeating: Self.binary, count: values.count)
    let status = encoded.withUnsafeBufferPointer { bytes in
      bytes.withMemoryRebound(to: CChar.self) { bytes in
        PQsendQueryPrepared(
          handle.pointer, statement.name, Int32(values.count),
          ranges.map { range in range.map { bytes.baseAddress! + $0.lowerBound } },
          lengths, formats, Self.binary)
      }
    }
    return statement.kind == .write ? synchronise(status) : status == 1
  }

  /// Ends a group of reads.
  func synchronise() -> Bool { synchronise(1) }

  /// Puts a synchronisation point after what was sent, if it could be.
  private func synchronise(_ status: Int32) -> Bool {
    guard status == 1, PQpipelineSync(handle.pointer) == 1 else { return false }
    planFlush()
    return true
  }

  /// What libpq could not write at once goes out after the tasks of this pass.
  private func planFlush() {
    guard !isFlushPlanned else { return }
    isFlushPlanned = true
    loop.atEndOfPass { [self] in
      isFlushPlanned = false
      // A failure shows at the next read, which the broken socket causes.
      if !isClosed { _ = flush() }
    }
  }

  /// Writes what is buffered, and waits for room where the socket is full.
  func flush() -> Bool {
    let status = PQflush(handle.pointer)
    guard status >= 0 else { return false }
    watch.change(to: status == 1 ? [.readable, .writable] : .readable)
    return true
  }

  // MARK: Receiving

  func readAvailable() -> Bool { PQconsumeInput(handle.pointer) == 1 }

  /// What has arrived in whole; nil when more must be read. Called only while a statement is pending: libpq
  /// ends each statement's results with a null pointer, and without a statement there would be no end of those.
  func nextEvent() -> PipelineEvent<Result<PostgresAnswer, PostgresFailure>>? {
    var nullCount = 0
    while PQisBusy(handle.pointer) == 0 {
      guard let result = PQgetResult(handle.pointer) else {
        nullCount += 1
        // Between two statements there is one; more of them, and a broken connection has no more to give.
        if nullCount > 1, handle.isBroken { return nil }
        continue
      }
      switch PQresultStatus(result) {
      case PGRES_PIPELINE_SYNC:
        PQclear(result)
        return .synchronised
      case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
        return .result(.success(PostgresAnswer(result)))
      case PGRES_PIPELINE_ABORTED:
        PQclear(result)
        return .skipped
      default:
        defer { PQclear(result) }
        return .failure(.failure(PostgresFailure(result: result)))
      }
    }
    return nil
  }
}
