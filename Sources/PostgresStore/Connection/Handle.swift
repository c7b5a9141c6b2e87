internal import CPostgres
internal import EventLoop

/// Owns a `PGconn`, and closes it in `deinit`.
///
/// `@unchecked Sendable`: libpq allows any thread to use a connection, but only one at a time ("Behavior in
/// Threaded Programs"). A worker thread creates a handle and passes it on once; only the receiver uses it.
final class PostgresHandle: @unchecked Sendable {
  let pointer: OpaquePointer
  /// The SQLSTATE of the server's announcement that it ends the session, which may come between statements; else empty.
  private var announcement = ""

  /// Connects, and blocks: at most `connect_timeout` for each host, and for each name lookup. Not for an event
  /// loop: libpq has no non-blocking name lookup.
  init(connecting parameters: PostgresParameters) throws(PostgresFailure) {
    let connection = parameters.withKeywordsAndValues { PQconnectdbParams($0, $1, 0) }
    guard let connection else { throw PostgresFailure(message: "no memory for a connection") }
    guard PQstatus(connection) == CONNECTION_OK else {
      defer { PQfinish(connection) }
      throw PostgresFailure(lost: connection)
    }
    pointer = connection
    // Without a receiver, libpq prints notices to standard error. It is called within calls of libpq.
    let receiver: PQnoticeReceiver = { handle, notice in
      guard let handle, let notice else { return }
      let failure = PostgresFailure(result: notice)
      guard failure.isFatal else { return }
      Unmanaged<PostgresHandle>.fromOpaque(handle).takeUnretainedValue().announcement = failure.sqlState
    }
    PQsetNoticeReceiver(connection, receiver, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit {
    PQsetNoticeReceiver(pointer, { _, _ in }, nil)
    PQfinish(pointer)
  }

  /// Why the connection broke. The caller closes it then: the answers of pending statements are lost.
  var failure: PostgresFailure {
    // In pipeline mode, libpq reads what the server announces only after the end of the last statement.
    if isBroken, let result = PQgetResult(pointer) { PQclear(result) }
    _ = PQisBusy(pointer)
    return PostgresFailure(lost: pointer, sqlState: announcement)
  }

  /// Connects on a thread of the pool. `refusal` is the error message if the pool's queue is full or closed.
  static func connect(
    _ parameters: PostgresParameters, on workers: WorkerPool, whenRefused refusal: String
  ) async -> Result<PostgresHandle, PostgresFailure> {
    do {
      return try await workers.run {
        do throws(PostgresFailure) {
          return .success(try PostgresHandle(connecting: parameters))
        } catch {
          return .failure(error)
        }
      }
    } catch {
      return .failure(PostgresFailure(message: refusal))
    }
  }

  var isBroken: Bool { PQstatus(pointer) != CONNECTION_OK }

  /// Writes the buffer, and watches for writability while the socket is full. False if the connection broke.
  func flush(_ watch: DescriptorWatch) -> Bool {
    let status = PQflush(pointer)
    guard status >= 0 else { return false }
    watch.change(to: status == 1 ? [.readable, .writable] : .readable)
    return true
  }
}
