public import EventLoop
public import Registry

/// Tells an observer what changed in the database, whichever connection changed it: another process's, another
/// loop's, or the sqlite3 shell's.
///
/// Every 20 ms it asks SQLite whether any other connection committed (https://sqlite.org/pragma.html#pragma_data_version),
/// which reads a page of shared memory; only where one did, it reads the log of changes that triggers keep.
///
/// `@unchecked Sendable`: its state is confined to `loop`, as `loop.assertCurrent()` sees to.
public final class SQLiteChangeWatcher: ClosableService, @unchecked Sendable {
  /// How often it looks.
  static let intervalMilliseconds = 20
  /// For how long after a look the observer may trust that it missed nothing.
  static let trustMilliseconds: Int64 = 1000
  /// Changes that are read at once.
  static let maximumChangesPerRead = 500

  private let loop: EventLoop
  private let observer: any ChangeObserver
  private var connection: SQLiteConnection?
  private var timer: Timer?
  /// What was seen last; nil until the first look.
  private var seen: Position?
  /// Whether the last look failed: what happened meanwhile may be gone from the log.
  private var isBlind = false

  private struct Position {
    /// What `PRAGMA data_version` said on this connection.
    var dataVersion: Int64
    /// The number of the last change that was told.
    var sequence: Int64
  }

  /// Opens the file once more. Throws `RegistryError.unavailable`.
  public init(
    database: SQLiteDatabase, loop: EventLoop, observer: any ChangeObserver
  ) throws(RegistryError) {
    self.loop = loop
    self.observer = observer
    do throws(SQLiteFailure) {
      connection = try SQLiteConnection(
        path: database.path, isReader: true, busyTimeoutMilliseconds: SQLiteStore.busyTimeoutMilliseconds)
    } catch {
      throw error.registryError
    }
  }

  /// Looks, and goes on looking until it is closed. What changed before is not told. The caller is on the loop.
  public func start() {
    loop.assertCurrent()
    precondition(timer == nil, "a watcher is started once")
    look()
    let timer = Timer(on: loop)
    timer.start(
      afterMilliseconds: Self.intervalMilliseconds, repeatMilliseconds: Self.intervalMilliseconds
    ) { [self] in look() }
    self.timer = timer
  }

  /// Closes its connection. The observer hears nothing from then on.
  public func close() async {
    await loop.run { [self] in
      timer?.close()
      timer = nil
      connection = nil
    }
  }

  private func look() {
    guard let connection else { return }
    let began = MonotonicClock.milliseconds
    do throws(SQLiteFailure) {
      try tellChanges(connection)
    } catch {
      // Without a word the observer's trust runs out.
      isBlind = true
      return
    }
    if isBlind {
      isBlind = false
      observer.changesMissed()
    }
    observer.trust(untilMilliseconds: began + Self.trustMilliseconds)
  }

  private func tellChanges(_ connection: SQLiteConnection) throws(SQLiteFailure) {
    // Asked before the log is read: what is committed in between moves it again.
    let dataVersion = try connection.execute(Self.selectDataVersion)[0]
    guard dataVersion != seen?.dataVersion else { return }
    let newest = try connection.execute(Self.selectNewest).first ?? 0
    if var sequence = seen?.sequence {
      // Each turn comes nearer to the newest, and the log's length bounds their number.
      while sequence != newest { sequence = try tellChanges(after: sequence, upTo: newest, connection) }
    }
    seen = Position(dataVersion: dataVersion, sequence: newest)
  }

  /// The number that was given last; it stays when the log is emptied.
  private static let selectNewest = SQLiteStatement(
    "SELECT seq FROM sqlite_sequence WHERE name = 'device_changes'"
  ) { $0.integer() }

  private static let selectDataVersion = SQLiteStatement("PRAGMA data_version") { $0.integer() }

  static let selectChanges = SQLiteStatement(
    """
    SELECT sequence, device_id, signal_id FROM device_changes
    WHERE sequence > ?1 AND sequence <= ?2
    ORDER BY sequence LIMIT ?3
    """
  ) {
    LoggedChange(
      sequence: $0.integer(), deviceID: $0.optionalText().flatMap { DeviceID($0) },
      signalID: $0.optionalText().flatMap { SignalID($0) })
  }

  struct LoggedChange {
    let sequence: Int64
    let deviceID: DeviceID?
    let signalID: SignalID?
  }

  /// Tells the next changes, and answers the number of the last. Where the log has a gap, or counts anew since
  /// another file took its place, the observer hears that it missed some.
  private func tellChanges(
    after sequence: Int64, upTo newest: Int64, _ connection: SQLiteConnection
  ) throws(SQLiteFailure) -> Int64 {
    let changes = try connection.execute(
      Self.selectChanges,
      [.integer(sequence), .integer(newest), .integer(Int64(Self.maximumChangesPerRead))])
    guard let last = changes.last, last.sequence == sequence + Int64(changes.count) else {
      observer.changesMissed()
      return newest
    }
    for id in Set(changes.compactMap(\.deviceID)) { observer.credentialsChanged(of: id) }
    for id in changes.compactMap(\.signalID) {
      for addressee in try connection.execute(Self.selectAddressees, [.id(id)]) {
        observer.signalsArrived(for: addressee)
      }
    }
    return last.sequence
  }

  static let selectAddressees = SQLiteStatement("SELECT device_id FROM deliveries WHERE signal_id = ?1") {
    $0.id() as DeviceID
  }
}
