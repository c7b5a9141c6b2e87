import FoundationEssentials
import Migrations
import Testing

@Suite("Migrations: pending ones, and errors") struct MigrationTests {
  private let known = [
    Migration(number: 2, name: "second", sql: Array("SELECT 2".utf8)),
    Migration(number: 1, name: "first", sql: Array("SELECT 1".utf8)),
  ]

  private func applied(_ migration: Migration, checksum: String? = nil) -> AppliedMigration {
    AppliedMigration(
      number: migration.number, name: migration.name, checksum: checksum ?? migration.checksum)
  }

  @Test
  func `Missing migrations are returned in order`() throws {
    #expect(try known.pending(after: []).map(\.label) == ["0001_first", "0002_second"])
    #expect(try known.pending(after: [applied(known[1])]).map(\.label) == ["0002_second"])
    #expect(try known.pending(after: known.map { applied($0) }).isEmpty)
  }

  @Test
  func `An unknown migration: run the newer version`() {
    let newer = AppliedMigration(number: 3, name: "third", checksum: "0")
    let error = #expect(throws: MigrationError.self) { try known.pending(after: [newer]) }
    #expect(error == .unknown("0003_third"))
    #expect(error?.description.contains("run the version that applied it, or a newer one") == true)
  }

  @Test
  func `A changed migration: restore it, and add a new one`() {
    let error = #expect(throws: MigrationError.self) {
      try known.pending(after: [applied(known[1], checksum: "0")])
    }
    #expect(error == .changed("0001_first"))
    #expect(error?.description.contains("restore it, and put the change into a new migration") == true)
  }

  @Test
  func `A migration before an applied one: give it the next number`() {
    let error = #expect(throws: MigrationError.self) { try known.pending(after: [applied(known[0])]) }
    #expect(error == .outOfOrder("0001_first"))
    #expect(error?.description.contains("give it the next free number") == true)
  }

  @Test
  func `The checksum is FNV-1a with 64 bits, in 16 digits`() {
    #expect(Migration(number: 1, name: "x", sql: []).checksum == "cbf29ce484222325")
    #expect(Migration(number: 1, name: "x", sql: Array("foobar".utf8)).checksum == "85944171f73967e8")
    #expect(Migration(number: 12_345, name: "x", sql: []).label == "12345_x")
  }

  @Test(arguments: StoreKind.allCases)
  func `A store lists all files of its migrations folder in order`(_ kind: StoreKind) throws {
    let store = kind == .postgres ? "PostgresStore" : "SQLiteStore"
    let folder = URL(filePath: #filePath).appending(path: "../../../Sources/\(store)/Migrations").standardized
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(kind.migrations.map { "\($0.label).sql" } == files)
    #expect(kind.migrations.map(\.number) == Array(1...files.count))
    for (migration, file) in zip(kind.migrations, files) {
      #expect(try String(contentsOf: folder.appending(path: file), encoding: .utf8) == migration.sql)
    }
  }
}
