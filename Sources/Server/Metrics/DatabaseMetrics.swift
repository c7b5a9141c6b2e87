internal import EventLoop
internal import Observability
internal import Registry
private import Synchronization

/// Reads how much the database has, on a separate thread and connection, while this process is the one that delivers to
/// webhooks.
final class DatabaseMetrics: Service {
  static let intervalMilliseconds: Int64 = 60_000
  private static let tickMilliseconds = 250

  private let url: DatabaseURL
  private let clock: any Clock
  private let reads: @Sendable () -> Bool
  private let workers: WorkerPool
  private let latest: LatestFigures

  /// - Parameter reads: whether this process is the one that reads.
  init(
    in metrics: Metrics, of url: DatabaseURL, clock: any Clock, reads: @escaping @Sendable () -> Bool
  ) throws(EventLoopError) {
    (self.url, self.clock, self.reads) = (url, clock, reads)
    workers = try WorkerPool(name: "figures", threads: 1, maximumQueueLength: 1)
    let latest = LatestFigures()
    self.latest = latest
    metrics.gauge("database_size_bytes", "Size of the database, with indexes.") {
      latest.value.map { Double($0.bytes) }
    }
    metrics.gauge("database_disk_free_bytes", "Free bytes on the disk of the SQLite file.") {
      latest.value?.freeBytes.map(Double.init)
    }
    metrics.gauges("database_rows", "Rows that are kept, by table; of events an estimate.") {
      latest.value.map(TableLabel.rows) ?? []
    }
  }

  func run() async {
    var nextMilliseconds: Int64 = 0
    while !Task.isCancelled {
      let now = MonotonicClock.milliseconds
      if !reads() {
        latest.value = nil
        nextMilliseconds = 0
      } else if nextMilliseconds <= now {
        nextMilliseconds = now + Self.intervalMilliseconds
        read()
      }
      try? await Task.sleep(for: .milliseconds(Self.tickMilliseconds))
    }
    // It may wait for a server that hangs.
    workers.abandon()
  }

  /// Without an answer the last figures stay: other metrics report a database that does not answer.
  private func read() {
    try? workers.submit { [url, clock, latest] in
      if let figures = try? Database.figures(of: url, at: clock.now()) { latest.value = figures }
    }
  }
}

private final class LatestFigures: Sendable {
  private let figures = Mutex<DatabaseFigures?>(nil)

  var value: DatabaseFigures? {
    get { figures.withLock { $0 } }
    set { figures.withLock { $0 = newValue } }
  }
}

private struct TableLabel: MetricLabels {
  static let names: [StaticString] = ["table"]
  let table: String
  var values: [String] { [table] }

  static func rows(of figures: DatabaseFigures) -> [(TableLabel, Double)] {
    let tables = [
      ("clients", figures.clients), ("devices", figures.devices), ("signals", figures.keptSignals),
      ("events", figures.keptEvents), ("webhooks", figures.webhooks),
    ]
    return tables.map { (TableLabel(table: $0.0), Double($0.1)) }
  }
}
