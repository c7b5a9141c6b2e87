import CPostgres
import CSQLite
import Foundation
import TestSupport

/// The databases that the service runs on.
enum DatabaseKind: String, CaseIterable, Sendable {
  case sqlite, postgres

  /// The URL of a new one; what is a file is in the folder.
  func newDatabase(in directory: TemporaryDirectory) async -> String {
    switch self {
    case .sqlite: "sqlite:\(directory.path)/registry.db"
    case .postgres: await PostgresCluster.shared.makeDatabase()
    }
  }
}

/// Looks into a database beside the service.
enum Database {
  /// The first column of each row of a query, as text. Uses a new connection.
  static func column(_ url: String, _ query: String) throws -> [String] {
    url.hasPrefix("sqlite:") ? try sqlite(String(url.dropFirst(7)), query) : try postgres(url, query)
  }

  private static func postgres(_ url: String, _ query: String) throws -> [String] {
    let connection = PQconnectdb(url)
    defer { PQfinish(connection) }
    let result = PQexec(connection, query)
    defer { PQclear(result) }
    guard [PGRES_TUPLES_OK, PGRES_COMMAND_OK].contains(PQresultStatus(result)) else {
      throw Unmet("\(query): \(String(cString: PQerrorMessage(connection)))")
    }
    return (0..<PQntuples(result)).map { String(cString: PQgetvalue(result, $0, 0)) }
  }

  private static func sqlite(_ path: String, _ query: String) throws -> [String] {
    var connection: OpaquePointer?
    defer { sqlite3_close(connection) }
    var statement: OpaquePointer?
    guard sqlite3_open(path, &connection) == SQLITE_OK,
      sqlite3_prepare_v2(connection, query, -1, &statement, nil) == SQLITE_OK
    else { throw Unmet("\(query): \(String(cString: sqlite3_errmsg(connection)))") }
    defer { sqlite3_finalize(statement) }
    var rows: [String] = []
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW: rows.append(sqlite3_column_text(statement, 0).map { String(cString: $0) } ?? "")
      case SQLITE_DONE: return rows
      default: throw Unmet("\(query): \(String(cString: sqlite3_errmsg(connection)))")
      }
    }
  }

  /// Throws unless the database is sound: its pages (SQLite), its references, and the count of devices of each client.
  static func checkSoundness(_ url: String) throws {
    if url.hasPrefix("sqlite:") {
      guard try column(url, "PRAGMA integrity_check") == ["ok"] else { throw Unmet("the file is damaged") }
      guard try column(url, "PRAGMA foreign_key_check").isEmpty else { throw Unmet("a reference is broken") }
    }
    let miscounted = try column(
      url,
      "SELECT id FROM clients WHERE device_count <> (SELECT count(*) FROM devices WHERE client_id = clients.id)"
    )
    guard miscounted.isEmpty else { throw Unmet("devices are miscounted of \(miscounted)") }
  }
}
