internal import CPostgres
internal import EventLoop

/// The non-blocking libpq calls of a listening connection, one query at a time, and the watch on its socket.
/// Used on one loop.
final class PostgresListenerLink {
  private let handle: PostgresHandle
  private let watch: DescriptorWatch
  /// The result of the pending query so far.
  private var outcome: Result<[String], PostgresFailure>?

  init(
    _ handle: PostgresHandle, on loop: EventLoop, whenReadable: @escaping () -> Void
  ) throws(PostgresFailure) {
    guard PQsetnonblocking(handle.pointer, 1) == 0 else { throw PostgresFailure(lost: handle.pointer) }
    do throws(EventLoopError) {
      watch = try DescriptorWatch(PQsocket(handle.pointer), on: loop)
    } catch {
      throw PostgresFailure(message: error.description)
    }
    self.handle = handle
    watch.start(for: .readable) { _ in whenReadable() }
  }

  /// Stops the watch. The handle's `deinit` then closes the socket.
  func close() { watch.close() }

  var failure: PostgresFailure { handle.failure }

  /// Sends one or several statements; the last one returns a row. False if the connection broke.
  func send(_ sql: String) -> Bool {
    outcome = nil
    return PQsendQuery(handle.pointer, sql) == 1 && flush()
  }

  func flush() -> Bool { handle.flush(watch) }

  /// Reads available input. False if the connection broke; results that arrived before are still valid.
  func readAvailable() -> Bool { PQconsumeInput(handle.pointer) == 1 }

  /// The complete (and so committed) answer to the query, as text; nil before. Call it only while a query is pending:
  /// libpq ends its results with a null pointer, and without a query it returns only null pointers.
  func takeAnswer() -> Result<[String], PostgresFailure>? {
    while PQisBusy(handle.pointer) == 0 {
      guard let result = PQgetResult(handle.pointer) else {
        return outcome ?? .failure(PostgresFailure(message: "no result"))
      }
      defer { PQclear(result) }
      switch PQresultStatus(result) {
      case PGRES_COMMAND_OK: break
      case PGRES_TUPLES_OK:
        // Results of queries without parameters are in text format.
        outcome = .success(
          (0..<PQnfields(result)).map { column in
            PQntuples(result) == 1 ? String(cString: PQgetvalue(result, 0, column)) : ""
          })
      default: outcome = .failure(PostgresFailure(result: result))
      }
    }
    return nil
  }

  /// The next received notification.
  func nextNotification() -> PostgresNotification? {
    guard let notification = PQnotifies(handle.pointer) else { return nil }
    defer { PQfreemem(notification) }
    return PostgresNotification(
      channel: String(cString: notification.pointee.relname),
      payload: String(cString: notification.pointee.extra))
  }
}
