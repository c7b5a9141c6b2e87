internal import EventLoop
internal import Registry

/// Notifies all processes, this one included, that clients have new events: the first at once, and those of the next 20 ms
/// together. NOTIFY in the statement that records an event would make all commits wait for each other: a transaction that
/// uses it commits only when the previous one is on disk (PreCommit_Notify in PostgreSQL's async.c).
///
/// What is lost with a process that is killed right after its commit delays readers until their next request.
///
/// `@unchecked Sendable`: its state is confined to the loop of its store.
final class PostgresEventAnnouncements: @unchecked Sendable {
  static let intervalMilliseconds = 20
  /// 120 ids of 64 characters, and their blanks, are 7,799 bytes; a payload has fewer than 8,000.
  static let maximumClientsPerPayload = 120

  private let loop: EventLoop
  private let send: (PostgresRequest) -> Void
  private var clients: Set<ClientID> = []
  /// Runs while announcements wait for it.
  private var timer: Timer?

  init(on loop: EventLoop, send: @escaping (PostgresRequest) -> Void) {
    self.loop = loop
    self.send = send
  }

  func announce(_ client: ClientID) {
    clients.insert(client)
    guard timer == nil, clients.count == 1 else { return }
    loop.atEndOfPass { [weak self] in self?.sendNow() }
  }

  func close() {
    timer?.close()
    timer = nil
    clients = []
  }

  private func sendNow() {
    let ids = Array(clients)
    clients = []
    guard !ids.isEmpty else { return close() }
    let payloads = stride(from: 0, to: ids.count, by: Self.maximumClientsPerPayload).map { start in
      let part = ids[start..<min(start + Self.maximumClientsPerPayload, ids.count)]
      return PostgresValue.text(part.map(\.text).joined(separator: " "))
    }
    send(
      PostgresRequest(
        statement: Self.notify.prepared, values: [.array(of: .text, payloads)], party: nil
      ) { _ in })
    startTimer()
  }

  private func startTimer() {
    let timer = timer ?? Timer(on: loop)
    self.timer = timer
    timer.start(afterMilliseconds: Self.intervalMilliseconds, repeatMilliseconds: 0) { [weak self] in
      self?.sendNow()
    }
  }

  static let notify = PostgresStatement(
    .write,
    "SELECT pg_notify('\(PostgresNotification.eventsChannel)', payload) FROM unnest($1::text[]) AS payload")
}
