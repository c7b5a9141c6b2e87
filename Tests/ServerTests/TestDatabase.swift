import CPostgres
import CSQLite
import Foundation
import TestSupport
import Testing

/// The databases that the service runs on.
enum DatabaseKind: String, CaseIterable {
  case sqlite, postgres
}

/// A new database, empty.
final class TestDatabase: Sendable {
  let kind: DatabaseKind
  /// As `DATABASE_URL` has it.
  let url: String
  let directory = TemporaryDirectory()

  init(_ kind: DatabaseKind) async {
    self.kind = kind
    url =
      switch kind {
      case .sqlite: "sqlite:\(directory.path)/registry.db"
      case .postgres: await PostgresCluster.quiet.makeDatabase()
      }
  }

  /// On a PostgreSQL server without long transactions, which would delay events.
  init(forEvents kind: DatabaseKind) async {
    self.kind = kind
    url = kind == .sqlite ? "sqlite:\(directory.path)/registry.db" : await PostgresCluster.quiet.makeDatabase()
  }

  /// On a PostgreSQL server of the test's own, which it may stop.
  init(postgres url: String) {
    kind = .postgres
    self.url = url
  }

  /// Makes an SQLite file that is the database of another program.
  func makeTableOfAnotherProgram() throws {
    var connection: OpaquePointer?
    defer { sqlite3_close(connection) }
    try #require(sqlite3_open(String(url.dropFirst("sqlite:".count)), &connection) == SQLITE_OK)
    try #require(sqlite3_exec(connection, "CREATE TABLE notes (text TEXT)", nil, nil, nil) == SQLITE_OK)
  }

  /// As after a crash, no nonces are left for the next start.
  func loseNonces() { try? FileManager.default.removeItem(atPath: directory.path + "/registry.db-nonces") }

  /// The first column of the first row of a query on a new connection, as text.
  func first(_ query: String) async throws -> String? {
    try await onOwnThread { [self] in
      switch kind {
      case .sqlite: try sqlite(query)
      case .postgres: try postgres(query)
      }
    }
  }

  private func postgres(_ query: String) throws -> String? {
    let connection = PQconnectdb(url)
    defer { PQfinish(connection) }
    let result = PQexec(connection, query)
    defer { PQclear(result) }
    try #require(PQresultStatus(result) == PGRES_TUPLES_OK, "\(String(cString: PQerrorMessage(connection)))")
    guard PQntuples(result) > 0, PQgetisnull(result, 0, 0) == 0 else { return nil }
    return String(cString: PQgetvalue(result, 0, 0))
  }

  private func sqlite(_ query: String) throws -> String? {
    var connection: OpaquePointer?
    defer { sqlite3_close(connection) }
    try #require(sqlite3_open(String(url.dropFirst("sqlite:".count)), &connection) == SQLITE_OK)
    sqlite3_busy_timeout(connection, 5000)
    var statement: OpaquePointer?
    defer { sqlite3_finalize(statement) }
    try #require(sqlite3_prepare_v2(connection, query, -1, &statement, nil) == SQLITE_OK)
    guard sqlite3_step(statement) == SQLITE_ROW else { return nil }
    return sqlite3_column_text(statement, 0).map { String(cString: $0) }
  }

  /// Whether a text is anywhere in the database's tables (PostgreSQL) or files (SQLite).
  func contains(_ text: String) async throws -> Bool {
    switch kind {
    case .postgres:
      return try await first("SELECT count(*) FROM devices WHERE devices::text LIKE '%\(text)%'") != "0"
    case .sqlite:
      let files = try FileManager.default.contentsOfDirectory(atPath: directory.path)
      return files.contains { name in
        FileManager.default.contents(atPath: "\(directory.path)/\(name)")?.range(of: Data(text.utf8)) != nil
      }
    }
  }
}
