internal import CPostgres
internal import EventLoop

/// The one owner of a `PGconn`, which it closes when it goes.
///
/// `@unchecked Sendable`: libpq allows any thread to use a connection, but only one at a time ("Behavior in
/// Threaded Programs"). A handle is made on a worker thread, handed over once, and used by its receiver alone.
final class PostgresHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  /// Connects, and waits for it: at most `connect_timeout` for each host, and for the look-up of names. Not for
  /// an event loop, since libpq offers no way to look up a name without waiting.
  init(connecting parameters: PostgresParameters) throws(PostgresFailure) {
    let connection = parameters.withKeywordsAndValues { PQconnectdbParams($0, $1, 0) }
    guard let connection else { throw PostgresFailure(message: "no memory for a connection") }
    guard PQstatus(connection) == CONNECTION_OK else {
      defer { PQfinish(connection) }
      throw PostgresFailure(lost: connection)
    }
    // Without this, libpq prints notices to standard error.
    PQsetNoticeReceiver(connection, { _, _ in }, nil)
    pointer = connection
  }

  deinit { PQfinish(pointer) }

  /// Connects on a thread of the pool.
  /// - Parameter refusal: what it means where the pool takes no work.
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
}
