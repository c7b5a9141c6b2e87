/// How much one store holds and how long it waits.
struct PostgresLimits: Sendable {
  /// Reads are pipelined, and two connections keep two of the server's processes busy.
  var readConnections = 2
  /// A connection's commits wait for the disk one after another, so writes spread over more of them; commits
  /// that come together share one write to disk.
  var writeConnections = 8

  /// Statements that one connection has sent and that are not yet answered. More are refused.
  var pendingPerConnection = 512
  /// Within this time a statement is answered, or the connection is given up.
  var statementDeadlineMilliseconds: Int64 = 5000

  /// Requests of one lane that wait for a connection to be made. More are refused.
  var waiting = 1024
  /// How long a request waits for a connection to be made.
  var waitMilliseconds: Int64 = 2000

  /// Waits between attempts to connect: doubled after each failure.
  var backoffMilliseconds: ClosedRange<Int64> = 50...1000
}

extension PostgresLimits {
  /// Connections for reads that all stores of a process have together, and likewise for writes; but each store
  /// has one of each. PostgreSQL allows 100 in all by default.
  static let connectionsPerProcess = 32

  /// For one of as many stores as the process has loops.
  init(loops: Int) {
    self.init()
    let share = Self.connectionsPerProcess / max(1, loops)
    readConnections = max(1, min(readConnections, share))
    writeConnections = max(1, min(writeConnections, share))
  }
}
