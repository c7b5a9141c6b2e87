internal import CPostgres
internal import Glibc

/// A blocking connection. Not for an event loop.
final class PostgresSession {
  private let handle: PostgresHandle

  init(_ parameters: PostgresParameters) throws(PostgresFailure) {
    handle = try PostgresHandle(connecting: parameters)
  }

  @discardableResult
  func run(_ sql: String, _ values: [PostgresValue] = []) throws(PostgresFailure) -> PostgresAnswer {
    let encoded = values.map { value in
      var bytes: [UInt8] = []
      _ = value.encode(into: &bytes)
      return bytes
    }
    let bytes = encoded.flatMap { $0 }.map { CChar(bitPattern: $0) } + [0]
    var offset = 0
    let offsets = encoded.map { value in
      defer { offset += value.count }
      return offset
    }
    return try check(
      bytes.withUnsafeBufferPointer { buffer in
        PQexecParams(
          handle.pointer, sql, Int32(values.count), nil, offsets.map { buffer.baseAddress! + $0 },
          encoded.map { Int32($0.count) }, [Int32](repeating: 1, count: values.count), 1)
      })
  }

  /// Runs several statements without parameters.
  func runScript(_ sql: String) throws(PostgresFailure) {
    _ = try check(PQexec(handle.pointer, sql))
  }

  /// Whether all statements of the session run on one server process. A pooler in transaction mode runs each of them on any
  /// process that is idle.
  ///
  /// A pooler gives its sessions process ids that it invented (PgBouncer's BackendKeyData). Only then this asks again, in
  /// turn with another session, which gets the same process unless it is kept for this one.
  func isOnOneBackend(_ parameters: PostgresParameters) throws(PostgresFailure) -> Bool {
    let first = try backend()
    guard first != PQbackendPID(handle.pointer) else { return true }
    let other = try PostgresSession(parameters)
    // Statements of other processes may come between.
    for _ in 0..<Self.backendRounds {
      let others = try other.backend()
      let own = try backend()
      guard others != first, own == first else { return false }
    }
    return true
  }

  private static let backendRounds = 3
  /// How long a session waits for a process to run its first statement. A pooler in session mode may have none left.
  private static let backendMilliseconds: Int32 = 3000

  /// The id of the process that runs this statement; nil if none does in time.
  private func backend() throws(PostgresFailure) -> Int32? {
    guard PQsendQuery(handle.pointer, "SELECT pg_backend_pid()") == 1 else {
      throw PostgresFailure(lost: handle.pointer)
    }
    var socket = pollfd(fd: PQsocket(handle.pointer), events: Int16(POLLIN), revents: 0)
    while PQisBusy(handle.pointer) == 1 {
      guard poll(&socket, 1, Self.backendMilliseconds) > 0 else { return nil }
      guard PQconsumeInput(handle.pointer) == 1 else { throw PostgresFailure(lost: handle.pointer) }
    }
    let answer = PQgetResult(handle.pointer)
    defer { while let rest = PQgetResult(handle.pointer) { PQclear(rest) } }
    return try check(answer).firstText.flatMap { Int32($0) }
  }

  private func check(_ result: OpaquePointer?) throws(PostgresFailure) -> PostgresAnswer {
    guard let result else { throw PostgresFailure(lost: handle.pointer) }
    let answer = PostgresAnswer(result)
    switch PQresultStatus(result) {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK: return answer
    default: throw PostgresFailure(result: result)
    }
  }
}
