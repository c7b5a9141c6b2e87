public import EventLoop
public import Registry

/// Notifies an observer of changes in the database, whichever connection makes them: in another process, on
/// another loop, or in the sqlite3 shell.
///
/// Every 20 ms it asks SQLite whether another connection committed
/// (https://sqlite.org/pragma.html#pragma_data_version). That reads one page of shared memory. Only if one did,
/// the watcher reads the change log that triggers write.
///
/// `@unchecked Sendable`: its state is confined to `loop`, which `loop.assertCurrent()` checks.
public final class SQLiteChangeWatcher: ClosableService, @unchecked Sendable {
  static let intervalMilliseconds = 20
  /// How long after a check the observer may trust its state.
  static let trustMilliseconds: Int64 = 1000
  /// How often it looks whether the file was removed or replaced.
  static let fileIntervalMilliseconds: Int64 = 1000
  static let maximumChangesPerRead = 500
  static let maximumAddresseesPerRead = 2000
  static let maximumEventsPerRead = 2000

  private let loop: EventLoop
  private let observer: any ChangeObserver
  private let database: SQLiteDatabase
  private let onFileChange: (_ isInPlace: Bool) -> Void
  private var isFileInPlace = true
  private var nextLookAtFile = Int64.min
  private var connection: SQLiteConnection?
  private var timer: Timer?
  /// The position of the last check; nil before the first.
  private var seen: Position?
  /// Whether the last check failed: the log may since have dropped entries.
  private var isBlind = false

  private struct Position {
    /// The value of `PRAGMA data_version` on this connection.
    var dataVersion: Int64
    /// The number of the last change that the observer was notified of.
    var sequence: Int64
    /// The number of the last event that the observer was notified of.
    var event: Int64
  }

  /// Opens a separate connection. Throws `RegistryError.unavailable`.
  ///
  /// - Parameter onFileChange: called on the loop when the database's file was removed or replaced, and when it is back.
  public init(
    database: SQLiteDatabase, loop: EventLoop, observer: any ChangeObserver,
    onFileChange: @escaping @Sendable (_ isInPlace: Bool) -> Void = { _ in }
  ) throws(RegistryError) {
    self.database = database
    self.onFileChange = onFileChange
    self.loop = loop
    self.observer = observer
    connection = try database.openReader()
  }

  /// Checks now and periodically until `close`. Earlier changes are not reported. Call it once, on the loop.
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

  /// Closes the connection. The observer gets no further calls.
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
    lookAtFile(nowMilliseconds: began)
    // Without a call the observer's trust expires.
    guard isFileInPlace else { return }
    do throws(SQLiteFailure) {
      try reportChanges(connection)
    } catch {
      // Without a call the observer's trust expires.
      isBlind = true
      return
    }
    if isBlind {
      isBlind = false
      observer.changesMissed()
    }
    observer.trust(untilMilliseconds: began + Self.trustMilliseconds)
  }

  private func lookAtFile(nowMilliseconds now: Int64) {
    guard now >= nextLookAtFile else { return }
    nextLookAtFile = now + Self.fileIntervalMilliseconds
    let isInPlace = database.lookAtFile()
    guard isInPlace != isFileInPlace else { return }
    isFileInPlace = isInPlace
    onFileChange(isInPlace)
  }

  private func reportChanges(_ connection: SQLiteConnection) throws(SQLiteFailure) {
    // Read the version before the log: a commit in between changes it again.
    let dataVersion = try connection.execute(Self.selectDataVersion)[0]
    guard dataVersion != seen?.dataVersion else { return }
    let newest = try connection.execute(Self.selectNewest).first ?? 0
    let newestEvent = try connection.execute(SQLiteStore.selectEventsEnd)[0].sequence
    if var sequence = seen?.sequence {
      // Each iteration advances towards `newest`; the length of the log bounds their number.
      while sequence != newest { sequence = try reportChanges(after: sequence, upTo: newest, connection) }
    }
    if let event = seen?.event, event != newestEvent {
      try reportEvents(after: event, upTo: newestEvent, connection)
    }
    seen = Position(dataVersion: dataVersion, sequence: newest, event: newestEvent)
  }

  /// The last assigned number, which stays when the log is emptied.
  private static let selectNewest = SQLiteStatement(
    "SELECT seq FROM sqlite_sequence WHERE name = 'device_changes'"
  ) { $0.integer() }

  private static let selectDataVersion = SQLiteStatement("PRAGMA data_version") { $0.integer() }

  static let selectChanges = SQLiteStatement(
    """
    SELECT sequence, device_id, signal_id, client_id FROM device_changes
    WHERE sequence > ?1 AND sequence <= ?2
    ORDER BY sequence LIMIT ?3
    """
  ) {
    LoggedChange(
      sequence: $0.integer(), deviceID: $0.optionalText().flatMap { DeviceID($0) },
      signalID: $0.optionalText().flatMap { SignalID($0) }, clientID: $0.optionalText().flatMap { ClientID($0) }
    )
  }

  struct LoggedChange {
    let sequence: Int64
    let deviceID: DeviceID?
    let signalID: SignalID?
    let clientID: ClientID?
  }

  /// Reports the next changes, and returns the number of the last one. If the log has a gap, or its numbers
  /// restarted because the file was replaced, it calls `changesMissed`.
  private func reportChanges(
    after sequence: Int64, upTo newest: Int64, _ connection: SQLiteConnection
  ) throws(SQLiteFailure) -> Int64 {
    let changes = try connection.execute(
      Self.selectChanges,
      [.integer(sequence), .integer(newest), .integer(Int64(Self.maximumChangesPerRead))])
    guard let last = changes.last, last.sequence == sequence + Int64(changes.count) else {
      observer.changesMissed()
      return newest
    }
    for id in Set(changes.compactMap(\.clientID)) { observer.clientChanged(id) }
    for id in Set(changes.compactMap(\.deviceID)) { observer.credentialsChanged(of: id) }
    for id in changes.compactMap(\.signalID) { try reportArrival(of: id, connection) }
    return last.sequence
  }

  /// Reports the clients that have events in a range. If there are too many, those of all clients.
  private func reportEvents(
    after event: Int64, upTo newest: Int64, _ connection: SQLiteConnection
  ) throws(SQLiteFailure) {
    guard newest - event <= Int64(Self.maximumEventsPerRead) else { return observer.eventsMissed() }
    let clients = try connection.execute(Self.selectEventClients, [.integer(event), .integer(newest)])
    for client in clients { observer.eventsRecorded(of: client) }
  }

  static let selectEventClients = SQLiteStatement(
    "SELECT DISTINCT client_id FROM events WHERE sequence > ?1 AND sequence <= ?2"
  ) { $0.clientID() }

  private func reportArrival(of id: SignalID, _ connection: SQLiteConnection) throws(SQLiteFailure) {
    var cursor = SQLiteValue.text("")
    // The number of the signal's devices bounds the number of pages.
    while true {
      let page = try connection.execute(
        Self.selectAddressees, [.id(id), cursor, .integer(Int64(Self.maximumAddresseesPerRead))])
      for addressee in page { observer.signalsArrived(for: addressee) }
      guard page.count == Self.maximumAddresseesPerRead, let last = page.last else { return }
      cursor = .id(last)
    }
  }

  static let selectAddressees = SQLiteStatement(
    "SELECT device_id FROM deliveries WHERE signal_id = ?1 AND device_id > ?2 ORDER BY device_id LIMIT ?3"
  ) { $0.id() as DeviceID }
}
