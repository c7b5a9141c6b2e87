internal import CPostgres
internal import EventLoop
private import Registry

/// The non-blocking libpq calls of a live connection in pipeline mode, and the watch on its socket. Used on one
/// loop. The sending methods return false if the connection broke; `failure` gives the reason.
final class PostgresLink {
  private let handle: PostgresHandle
  private let watch: DescriptorWatch
  private let loop: EventLoop
  private var isFlushPlanned = false
  private var isClosed = false
  /// The encoded parameters of one statement; kept for its capacity.
  private var encoded: [UInt8] = []

  private static let binary: Int32 = 1

  /// Shorter than the statement deadline, so that a slow statement fails alone and not with its connection.
  private static let statementTimeoutMilliseconds = 4000

  /// Session settings that the URL, the role and the database did not set, and generic plans. For statements that take
  /// arrays, PostgreSQL would make a plan at each execution, because it estimates fewer rows for short arrays; making the
  /// plan of an acknowledgement takes longer than executing it. PlanTests test the generic plans.
  private static let sessionSetup = """
    SELECT set_config('default_transaction_isolation', 'read committed', false),
      CASE current_setting('statement_timeout') WHEN '0'
        THEN set_config('statement_timeout', '\(statementTimeoutMilliseconds)', false) END,
      set_config('plan_cache_mode', 'force_generic_plan', false),
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

  /// Stops the watch. The handle's `deinit` then closes the socket.
  func close() {
    isClosed = true
    watch.close()
  }

  var failure: PostgresFailure { handle.failure }

  // MARK: Sending

  func sendSetup() -> Bool {
    synchronise(
      PQsendQueryParams(
        handle.pointer, Self.sessionSetup, 0, nil, nil, nil, nil, Self.binary))
  }

  func sendPrepare(_ statement: PreparedStatement) -> Bool {
    synchronise(PQsendPrepare(handle.pointer, statement.name, statement.sql, 0, nil))
  }

  /// Sends a statement, and a synchronisation point if it is a write. Reads are only buffered until
  /// `synchronise` adds one point for all of them: libpq makes a system call for each point.
  func send(_ statement: PreparedStatement, _ values: [PostgresValue]) -> Bool {
    encoded.removeAll(keepingCapacity: true)
    // The position of each value in `encoded`; nil for a null.
    let ranges = values.map { value -> Range<Int>? in
      let start = encoded.count
      return value.encode(into: &encoded) ? start..<encoded.count : nil
    }
    // An empty text also needs a non-null pointer; libpq reads a null pointer as NULL.
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
    return statement.kind.isWrite ? synchronise(status) : status == 1
  }

  /// Adds the synchronisation point of the buffered reads.
  func synchronise() -> Bool { synchronise(1) }

  /// Adds a synchronisation point if the statement was sent.
  private func synchronise(_ status: Int32) -> Bool {
    guard status == 1, PQpipelineSync(handle.pointer) == 1 else { return false }
    planFlush()
    return true
  }

  /// Flushes once, after all tasks of this pass of the loop.
  private func planFlush() {
    guard !isFlushPlanned else { return }
    isFlushPlanned = true
    loop.atEndOfPass { [self] in
      isFlushPlanned = false
      // On failure the socket becomes readable, and the next read reports it.
      if !isClosed { _ = flush() }
    }
  }

  func flush() -> Bool { handle.flush(watch) }

  // MARK: Receiving

  func readAvailable() -> Bool { PQconsumeInput(handle.pointer) == 1 }

  /// The next complete result; nil if more input is needed. Call it only while a statement is pending: libpq
  /// ends the results of each statement with a null pointer, and without a statement it returns only null
  /// pointers.
  func nextEvent() -> PipelineEvent<Result<PostgresAnswer, PostgresFailure>>? {
    var nullCount = 0
    while PQisBusy(handle.pointer) == 0 {
      guard let result = PQgetResult(handle.pointer) else {
        nullCount += 1
        // One null pointer separates two statements; several on a broken connection mean that it has no more
        // results.
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
