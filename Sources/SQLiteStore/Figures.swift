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
    figures.freeBytes = SQLiteFile.freeBytes(beside: path)
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
    guard let file = (try? SQLiteFile.resolve(path)).map({ $0 + purpose.rawValue }) else { return nil }
    guard SQLiteFile.identity(of: file) != nil else { return [] }
    guard let place = place(ofLockOn: file) else { return nil }
    var holders: [ServingProcess] = []
    let isListed = forEachLine(of: "/proc/locks") { words in
      // 1: FLOCK  ADVISORY  WRITE 14805 fe:00:16236906 0 EOF
      guard words.count >= 6, words[1] == "FLOCK", words[5] == place else { return }
      holders.append(
        ServingProcess(name: "process \(words[4])", isExclusive: words[3] == "WRITE", since: nil))
    }
    return isListed ? holders : nil
  }

  /// How the list names a file. With overlays its numbers are not those of stat(2), but those of an open descriptor
  /// (proc_pid_fdinfo(5)) and its mount (proc_pid_mountinfo(5)).
  private static func place(ofLockOn file: String) -> String? {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return nil }
    defer { Glibc.close(descriptor) }
    var (mount, number, device): (Substring?, Substring?, Substring?)
    forEachLine(of: "/proc/self/fdinfo/\(descriptor)") { words in
      guard words.count == 2 else { return }
      if words[0] == "mnt_id:" { mount = words[1] }
      if words[0] == "ino:" { number = words[1] }
    }
    forEachLine(of: "/proc/self/mountinfo") { words in
      if words.count > 3, words[0] == mount { device = words[2] }
    }
    guard let number, let device else { return nil }
    let parts = device.split(separator: ":").compactMap { Int($0) }
    guard parts.count == 2 else { return nil }
    return hexadecimal(parts[0]) + ":" + hexadecimal(parts[1]) + ":" + number
  }

  /// At least two digits.
  private static func hexadecimal(_ number: Int) -> String {
    (number < 16 ? "0" : "") + String(number, radix: 16)
  }

  /// Lines of a file of the system that are read, and bytes of each.
  private static let (maximumLines, maximumLineLength) = (65_536, 4096)

  /// Calls `body` with the words of each line. False if the file cannot be read.
  @discardableResult
  private static func forEachLine(of path: String, _ body: ([Substring]) -> Void) -> Bool {
    guard let file = fopen(path, "r") else { return false }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: maximumLineLength)
    for _ in 0..<maximumLines {
      guard fgets(&line, Int32(line.count), file) != nil else { break }
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      body(text.split(whereSeparator: \.isWhitespace))
    }
    return true
  }
}
