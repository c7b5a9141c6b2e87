internal import Encoding

/// One numbered step of a database's schema.
public struct Migration: Sendable {
  /// Counts from 1.
  public let number: Int
  /// Its subject, in the form `clients_and_devices`.
  public let name: String
  public let sql: String

  public init(number: Int, name: String, sql: [UInt8]) {
    self.number = number
    self.name = name
    self.sql = String(decoding: sql, as: UTF8.self)
  }

  /// `0001_clients_and_devices`, the name of its file.
  public var label: String { Self.label(number: number, name: name) }

  static func label(number: Int, name: String) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "_" + name
  }

  /// 64-bit FNV-1a of the SQL, in hexadecimal. It detects accidental edits; it is no protection against attackers.
  public var checksum: String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in sql.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return Hex.text(hash)
  }
}

/// A migration that the database has recorded as applied.
public struct AppliedMigration: Hashable, Sendable {
  public let number: Int
  public let name: String
  public let checksum: String

  public init(number: Int, name: String, checksum: String) {
    self.number = number
    self.name = name
    self.checksum = checksum
  }
}

extension [Migration] {
  /// The migrations that a database with `applied` still needs, in order. Throws `changed`, `unknown` and
  /// `outOfOrder`.
  public func pending(after applied: [AppliedMigration]) throws(MigrationError) -> [Migration] {
    for record in applied {
      let label = Migration.label(number: record.number, name: record.name)
      guard let known = first(where: { $0.number == record.number && $0.name == record.name }) else {
        throw .unknown(label)
      }
      guard known.checksum == record.checksum else { throw .changed(label) }
    }
    let last = applied.map(\.number).max() ?? 0
    let missing = filter { migration in !applied.contains { $0.number == migration.number } }
    if let early = missing.first(where: { $0.number < last }) { throw .outOfOrder(early.label) }
    return missing.sorted { $0.number < $1.number }
  }
}

/// Why a database could not be migrated.
public enum MigrationError: Error, Hashable, Sendable {
  /// An applied migration was changed afterwards.
  case changed(String)
  /// The database has a migration that this program does not know.
  case unknown(String)
  /// A migration is missing although a later one was applied.
  case outOfOrder(String)
  /// The database refused a migration, and nothing of it was applied.
  case refused(String, cause: String)
  /// The database is unreachable or cannot be read.
  case unavailable(cause: String)
  /// The database, or the way to it, does not allow what the registry needs. The text says what to do.
  case unsuitable(String)
}

extension MigrationError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .changed(let label):
      "migration \(label) was changed after it was applied to this database; restore it, and put the change "
        + "into a new migration"
    case .unknown(let label):
      "the database has migration \(label), which this version does not know; run the version that applied it, "
        + "or a newer one"
    case .outOfOrder(let label):
      "migration \(label) is older than one that was applied, but was not applied itself; give it the next free "
        + "number"
    case .refused(let label, let cause):
      "migration \(label) was refused and left nothing behind: \(cause)"
    case .unavailable(let cause):
      "the database could not be reached for its migrations: \(cause)"
    case .unsuitable(let reason): reason
    }
  }
}
