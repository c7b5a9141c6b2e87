private import Glibc
public import Migrations
public import Registry

/// Reads how much a database has, for a command. It blocks.
public enum SQLiteFigures {
  /// The figures of a file whose migrations are complete. Changes nothing.
  ///
  /// Throws `MigrationError.unavailable`.
  public static func read(path: String, at now: Timestamp) throws(MigrationError) -> DatabaseFigures {
    var figures: DatabaseFigures?
    do throws(SQLiteFailure) {
      let connection = try SQLiteConnection(
        inspecting: path, busyTimeoutMilliseconds: SQLiteMigrator.busyTimeoutMilliseconds)
      figures = try connection.execute(select, [.time(now)]).first
    } catch {
      throw .unavailable(cause: error.cause(path: path))
    }
    guard var figures else { return DatabaseFigures() }
    figures.bytes = [path, path + "-wal"].reduce(0) { $0 + SQLiteFile.size(of: $1) }
    figures.serving = SQLiteProcessLock.holders(ofDatabase: path, for: .serving)
    figures.delivering = SQLiteProcessLock.holders(ofDatabase: path, for: .delivery)?.first
    return figures
  }

  /// The oldest events are deleted first, so the numbers of those that are kept follow each other.
  static let select = SQLiteStatement(
    """
    SELECT (SELECT count(*) FROM clients), (SELECT ifnull(sum(device_count), 0) FROM clients),
      (SELECT ifnull(sum(signal_count), 0) FROM clients),
      (SELECT count(*) FROM (
        SELECT 1 FROM signals WHERE expires_at > ?1 AND cancelled_at IS NULL AND is_visible
        LIMIT \(DatabaseFigures.maximumCounted))),
      (SELECT ifnull(max(sequence) - min(sequence) + 1, 0) FROM events),
      (SELECT count(*) FROM webhooks),
      (SELECT count(*) FROM webhooks WHERE failures > 0 AND disabled_at IS NULL),
      (SELECT count(*) FROM webhooks WHERE failures > 0 AND disabled_at IS NOT NULL),
      (SELECT min(failing_since) FROM webhooks WHERE failures > 0 AND disabled_at IS NULL)
    """
  ) { row in
    var figures = DatabaseFigures()
    figures.clients = Int(row.integer())
    figures.devices = Int(row.integer())
    figures.keptSignals = Int(row.integer())
    figures.liveSignals = Int(row.integer())
    figures.keptEvents = Int(row.integer())
    figures.webhooks = Int(row.integer())
    figures.failingWebhooks = Int(row.integer())
    figures.disabledWebhooks = Int(row.integer())
    figures.failingSince = row.optionalTime()
    return figures
  }
}

extension SQLiteProcessLock {
  /// The processes that have the lock, which the system lists (proc_locks(5)); nil if it does not show its list. A test
  /// of the lock itself would keep a process from starting at the same moment.
  static func holders(ofDatabase path: String, for purpose: Purpose) -> [ServingProcess]? {
    guard let resolved = try? SQLiteFile.resolve(path) else { return nil }
    guard let file = SQLiteFile.identity(of: resolved + purpose.rawValue) else { return [] }
    let place = hexadecimal(major(file.device)) + ":" + hexadecimal(minor(file.device)) + ":\(file.number)"
    guard let list = fopen("/proc/locks", "r") else { return nil }
    defer { fclose(list) }
    var holders: [ServingProcess] = []
    var line = [CChar](repeating: 0, count: maximumLineLength)
    for _ in 0..<maximumLines {
      guard fgets(&line, Int32(line.count), list) != nil else { break }
      // 1: FLOCK  ADVISORY  WRITE 14805 fe:00:16236906 0 EOF
      let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        .split(whereSeparator: \.isWhitespace)
      guard words.count >= 6, words[1] == "FLOCK", words[5] == place else { continue }
      holders.append(
        ServingProcess(name: "process \(words[4])", isExclusive: words[3] == "WRITE", since: nil))
    }
    return holders
  }

  /// Locks of the whole system that are read.
  private static let maximumLines = 65_536
  private static let maximumLineLength = 256

  private static func major(_ device: UInt64) -> UInt64 {
    (device >> 8) & 0xFFF | (device >> 32) & 0xFFFF_F000
  }
  private static func minor(_ device: UInt64) -> UInt64 { device & 0xFF | (device >> 12) & 0xFFFF_FF00 }

  private static func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return digits.count < 2 ? "0" + digits : digits
  }
}
