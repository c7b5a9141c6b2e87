import Foundation
import Glibc
import TestSupport
import Testing

@testable import SQLiteStore

@Suite("SQLite: the process lock", .timeLimit(.minutes(1)))
struct SQLiteProcessLockTests {
  private let directory = TemporaryDirectory()
  private var path: String { "\(directory.path)/data/registry.db" }

  @Test
  func `An exclusive lock excludes other processes, and their error says what to do`() throws {
    let lock = try SQLiteProcessLock(databasePath: path, mode: .exclusive)
    for mode in [SQLiteProcessLock.Mode.exclusive, .shared] {
      let error = #expect(throws: SQLiteProcessLockError.self) {
        try SQLiteProcessLock(databasePath: path, mode: mode)
      }
      #expect(error?.description.contains("another process serves this database") == true)
      #expect(error?.description.contains("REPLAY_STORE=redis://") == true)
    }
    withExtendedLifetime(lock) {}
  }

  @Test
  func `Shared locks coexist, and exclude an exclusive one`() throws {
    let locks = try (0..<3).map { _ in try SQLiteProcessLock(databasePath: path, mode: .shared) }
    #expect(throws: SQLiteProcessLockError.self) {
      try SQLiteProcessLock(databasePath: path, mode: .exclusive)
    }
    withExtendedLifetime(locks) {}
  }

  @Test
  func `Another process can acquire a released lock`() throws {
    var lock: SQLiteProcessLock? = try SQLiteProcessLock(databasePath: path, mode: .exclusive)
    #expect(throws: SQLiteProcessLockError.self) {
      try SQLiteProcessLock(databasePath: path, mode: .exclusive)
    }
    withExtendedLifetime(lock) {}
    lock = nil
    lock = try SQLiteProcessLock(databasePath: path, mode: .exclusive)
    withExtendedLifetime(lock) {}
  }

  @Test
  func `The lock works between processes, and is released when its process ends`() async throws {
    withExtendedLifetime(try SQLiteProcessLock(databasePath: path, mode: .shared)) {}
    let program = try Program(
      ["--no-fork", "\(path)-serve.lock", "/bin/sh", "-c", "echo held; exec sleep 60"],
      executable: "/usr/bin/flock")
    #expect(await program.outputLine() == "held")
    #expect(throws: SQLiteProcessLockError.self) {
      try SQLiteProcessLock(databasePath: path, mode: .shared)
    }
    program.send(SIGKILL)
    _ = await program.end()
    withExtendedLifetime(try SQLiteProcessLock(databasePath: path, mode: .exclusive)) {}
  }

  @Test
  func `The lock file is next to the database, accessible only to its owner, and is kept`() throws {
    withExtendedLifetime(try SQLiteProcessLock(databasePath: path, mode: .exclusive)) {}
    var status = stat()
    #expect(stat("\(path)-serve.lock", &status) == 0 && status.st_mode & 0o777 == 0o600)
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  @Test
  func `A symbolic link to the database uses the same lock`() throws {
    let lock = try SQLiteProcessLock(databasePath: path, mode: .exclusive)
    let link = "\(directory.path)/link.db"
    #expect(symlink("data/registry.db", link) == 0)
    #expect(throws: SQLiteProcessLockError.self) { try SQLiteProcessLock(databasePath: link, mode: .shared) }
    withExtendedLifetime(lock) {}
  }

  @Test
  func `The error for a lock file that cannot be created has its path, and a symbolic link is refused`() throws
  {
    #expect(throws: SQLiteFileError(path: "/dev/null/registry.db", errorNumber: ENOTDIR)) {
      try SQLiteProcessLock(databasePath: "/dev/null/registry.db", mode: .exclusive)
    }
    try SQLiteFile.create(path)
    #expect(symlink("/dev/null", "\(path)-serve.lock") == 0)
    let error = #expect(throws: SQLiteFileError.self) {
      try SQLiteProcessLock(databasePath: path, mode: .exclusive)
    }
    #expect(error?.errorNumber == ELOOP)
  }
}
