internal import CPostgres
internal import EventLoop

/// A live connection that listens: its calls to libpq, non-blocking, with one query at a time, and the watch on its
/// socket. Used on one loop.
final class PostgresListenerLink {
  private let handle: PostgresHandle
  private let watch: DescriptorWatch
  /// What the query that is in progress has answered so far.
  private var outcome: Result<Bool, PostgresFailure>?

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

  /// Ends the session. The socket goes with the handle, after its watch.
  func close() { watch.close() }

  var failure: PostgresFailure { PostgresFailure(lost: handle.pointer) }

  /// Sends a query, one statement or several, whose last one answers a boolean. False where the connection broke.
  func send(_ sql: String) -> Bool {
    outcome = nil
    return PQsendQuery(handle.pointer, sql) == 1 && flush()
  }

  /// Writes what is buffered, and waits for room where the socket is full. False where the connection broke.
  func flush() -> Bool {
    let status = PQflush(handle.pointer)
    guard status >= 0 else { return false }
    watch.change(to: status == 1 ? [.readable, .writable] : .readable)
    return true
  }

  /// Reads what has arrived. False where the connection broke; what came before counts all the same.
  func readAvailable() -> Bool { PQconsumeInput(handle.pointer) == 1 }

  /// The answer to the query, once it is there in whole, and so committed; nil before. Called only while a query is
  /// in progress: libpq marks its end with a null pointer, and without a query it returns nothing else.
  func takeAnswer() -> Result<Bool, PostgresFailure>? {
    while PQisBusy(handle.pointer) == 0 {
      guard let result = PQgetResult(handle.pointer) else {
        return outcome ?? .failure(PostgresFailure(message: "no result"))
      }
      defer { PQclear(result) }
      switch PQresultStatus(result) {
      case PGRES_COMMAND_OK: break
      case PGRES_TUPLES_OK:
        // In text, as answers to queries without parameters come.
        let isTrue = PQntuples(result) == 1 && String(cString: PQgetvalue(result, 0, 0)) == "t"
        outcome = .success(isTrue)
      default: outcome = .failure(PostgresFailure(result: result))
      }
    }
    return nil
  }

  /// The next notification that has arrived.
  func nextNotification() -> PostgresNotification? {
    guard let notification = PQnotifies(handle.pointer) else { return nil }
    defer { PQfreemem(notification) }
    return PostgresNotification(
      channel: String(cString: notification.pointee.relname),
      payload: String(cString: notification.pointee.extra))
  }
}
