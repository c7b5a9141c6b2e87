/// The limits and timeouts of one store.
struct PostgresLimits: Sendable {
  /// Reads are pipelined; two connections keep two server processes busy.
  var readConnections = 2
  /// The commits of one connection wait for the disk one after another, so writes are spread over more
  /// connections; simultaneous commits share one disk write.
  var writeConnections = 8

  /// For transactions of several statements: one is kept for urgent ones, and a client uses one.
  var transactionConnections = 2

  /// Unanswered statements of one read connection. More wait.
  var readsPerConnection = 512
  /// Unanswered statements of one write connection, of which only the last one may take long: those after it would wait
  /// for what it waits for.
  var writesPerConnection = 16
  /// The connection is dropped when an answer takes longer.
  var statementDeadlineMilliseconds: Int64 = 5000

  /// Requests of one lane that wait for a connection. More are refused.
  var waiting = 4096
  /// Those of one client, and as many again that lock the client's row. More are refused.
  var waitingPerClient = 256
  /// How long a request waits for a connection.
  var waitMilliseconds: Int64 = 2000

  /// The delay between connection attempts; it doubles after each failure.
  var backoffMilliseconds: ClosedRange<Int64> = 50...1000
}

extension PostgresLimits {
  /// The limit on read connections of all stores in a process, and on write connections. Each store has at
  /// least one of each. PostgreSQL allows 100 connections by default.
  static let connectionsPerProcess = 32

  /// The limits of one store in a process with this number of loops.
  init(loops: Int) {
    self.init()
    let share = Self.connectionsPerProcess / max(1, loops)
    readConnections = max(1, min(readConnections, share))
    writeConnections = max(1, min(writeConnections, share))
  }
}
