internal import EventLoop
internal import Registry

/// Runs transactions of several statements, each on a connection that no other statement uses meanwhile. So they block
/// neither reads nor other writes. A client runs one at a time, and one connection is kept for urgent ones.
///
/// Used on one loop.
final class PostgresTransactions: @unchecked Sendable {
  private let lane: PostgresLane

  init(_ lane: PostgresLane) { self.lane = lane }

  /// Calls `body` in a transaction, and commits it; rolls it back if `body` throws. Throws `unavailable` if the connection
  /// is lost: a commit may then have succeeded.
  func run<Value>(
    for client: ClientID, isUrgent: Bool,
    _ body: (PostgresTransaction) async throws(RegistryError) -> Value
  ) async throws(RegistryError) -> Value {
    let transaction = try await begin(client, isUrgent ? PostgresStore.urgentBegin : PostgresStore.begin)
    defer { transaction.release() }
    do throws(RegistryError) {
      let value = try await body(transaction)
      try await transaction.run(PostgresStore.commit)
      return value
    } catch {
      // Fails if the session has ended, and the transaction with it.
      do throws(RegistryError) { try await transaction.run(PostgresStore.rollback) } catch {}
      throw error
    }
  }

  private func begin(
    _ client: ClientID, _ statement: PostgresStatement<Void>
  ) async throws(RegistryError) -> PostgresTransaction {
    let result: Result<PostgresTransaction, PostgresFailure> = await withUnsafeContinuation { continuation in
      var transaction: PostgresTransaction?
      var request = PostgresRequest(
        statement: statement.prepared, values: [], party: client.hashValue
      ) { answer in
        if case .failure = answer { transaction?.release() }
        continuation.resume(returning: answer.map { _ in transaction! })
      }
      request.whenSent = { transaction = PostgresTransaction($0) }
      lane.submit(request)
    }
    return try result.mapError(\.registryError).get()
  }
}

/// A transaction that has begun. Used on its connection's loop.
struct PostgresTransaction: @unchecked Sendable {
  private let connection: PostgresConnection
  private let session: Int

  init(_ connection: PostgresConnection) {
    self.connection = connection
    session = connection.session
  }

  private var isOpen: Bool { connection.isReady && connection.session == session }

  func rows<Row>(
    of statement: PostgresStatement<Row>, _ values: [PostgresValue]
  ) async throws(RegistryError) -> [Row] {
    try await answer(to: statement.prepared, values).rows(statement.row)
  }

  func rows<Row>(
    of statement: PostgresStatement<Row>, _ values: PostgresValue...
  ) async throws(RegistryError) -> [Row] {
    try await rows(of: statement, values)
  }

  /// Runs one statement, and returns how many rows it changed.
  @discardableResult
  func run(
    _ statement: PostgresStatement<Void>, _ values: [PostgresValue] = []
  ) async throws(RegistryError) -> Int {
    try await answer(to: statement.prepared, values).changedRowCount
  }

  private func answer(
    to statement: PreparedStatement, _ values: [PostgresValue]
  ) async throws(RegistryError) -> PostgresAnswer {
    assert(PostgresStore.statements.contains { $0 === statement })
    guard isOpen else { throw .unavailable(cause: "the connection was lost during a transaction") }
    let result: Result<PostgresAnswer, PostgresFailure> = await withUnsafeContinuation { continuation in
      connection.send(
        PostgresRequest(statement: statement, values: values) { answer in
          // The caller is on the same loop.
          nonisolated(unsafe) let answer = answer
          continuation.resume(returning: answer)
        })
    }
    return try result.mapError(\.registryError).get()
  }

  fileprivate func release() { if connection.session == session { connection.release() } }
}

extension PostgresStore {
  static let transactionStatements = [
    begin.prepared, urgentBegin.prepared, commit.prepared, rollback.prepared,
  ]

  static let begin = PostgresStatement(.begin, "BEGIN")
  static let urgentBegin = PostgresStatement(.urgentBegin, "BEGIN")
  static let commit = PostgresStatement(.inTransaction, "COMMIT")
  static let rollback = PostgresStatement(.inTransaction, "ROLLBACK")
}
