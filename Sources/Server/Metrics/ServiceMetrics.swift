internal import API
internal import Observability
internal import Registry
private import Synchronization

/// What the service counts: the names are the contract's. Holds the metrics' instruments and not the metrics
/// themselves, whose closures hold the servers that tell this of events.
final class ServiceMetrics: Sendable {
  private let devicesRegistered: Counter
  private let devicesRevoked: Counter
  private let rateLimited: MetricFamily<LimitLabel, Counter>
  private let polls: MetricFamily<StatusLabel, Counter>
  private let acks: MetricFamily<AckLabel, Counter>
  private let pollDuration: Histogram
  private let requests: MetricFamily<RequestLabels, Counter>
  private let requestDuration: MetricFamily<RouteLabel, Histogram>
  private let instruments = Mutex<[RequestLabels: RequestInstruments]>([:])

  /// Bounds of a request's duration, in seconds: a read takes less than a millisecond, a registration some tens,
  /// and what waits for a database that is away some seconds.
  static let requestBounds = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]
  /// Bounds of a poll's duration, in seconds: at once, or parked for at most 30 s.
  static let pollBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 31]

  init(in metrics: Metrics) {
    devicesRegistered = metrics.counter("devices_registered_total", "Devices that were registered.")
    devicesRevoked = metrics.counter("devices_revoked_total", "Devices that were revoked.")
    rateLimited = metrics.counters(
      "rate_limited_total", "Requests refused, by whom the limit is on.", by: LimitLabel.self)
    polls = metrics.counters("ea_poll_total", "Polls, by the HTTP status of the answer.", by: StatusLabel.self)
    acks = metrics.counters("ea_ack_total", "Acks of signals, by what they came to.", by: AckLabel.self)
    pollDuration = metrics.histogram(
      "ea_poll_duration_seconds", "Time that polls took, parked ones included.", bounds: Self.pollBounds)
    requests = metrics.counters(
      "http_requests_total", "Requests, by route, method and the status of the answer.",
      by: RequestLabels.self)
    requestDuration = metrics.histograms(
      "http_request_duration_seconds",
      "Time from a request's arrival until its answer was made, by route.", bounds: Self.requestBounds,
      by: RouteLabel.self)
    // What is known from the start begins at 0, so that the first of its kind is seen as a rise.
    _ = polls[StatusLabel(status: 200)]
    for subject in RateLimit.Subject.allCases { _ = rateLimited[LimitLabel(subject: subject)] }
    for result in AckLabel.results { _ = acks[AckLabel(result: result)] }
  }

  /// Counts an answered request. From any thread, and quick: the answer waits.
  func count(_ request: AnsweredRequest) {
    let instruments = instruments(
      of: RequestLabels(route: request.route, method: request.method, status: request.status))
    instruments.requests.increment()
    instruments.duration.observe(nanoseconds: request.durationNanoseconds)
    instruments.polls?.increment()
    instruments.pollDuration?.observe(nanoseconds: request.durationNanoseconds)
    if let limit = request.limit { rateLimited[LimitLabel(subject: limit)].increment() }
  }

  private func instruments(of labels: RequestLabels) -> RequestInstruments {
    instruments.withLock { known in
      if let instruments = known[labels] { return instruments }
      let isPoll = labels.route == API.pollPath
      let instruments = RequestInstruments(
        requests: requests[labels], duration: requestDuration[RouteLabel(route: labels.route)],
        polls: isPoll ? polls[StatusLabel(status: labels.status)] : nil,
        pollDuration: isPoll ? pollDuration : nil)
      // Beyond, all that is new shares one counter.
      if known.count < MetricFamily<RequestLabels, Counter>.maximumChildren { known[labels] = instruments }
      return instruments
    }
  }
}

extension ServiceMetrics: RegistryObserver {
  func changed(_ event: RegistryEvent) {
    switch event.kind {
    case .deviceRegistered: devicesRegistered.increment()
    case .deviceRevoked: devicesRevoked.increment()
    case .signalAcknowledged: acks[AckLabel(result: event.status?.rawValue ?? AckLabel.unknown)].increment()
    case .clientCreated, .clientDeleted, .deviceUpdated, .secretRotated, .secretPromoted, .signalCreated: break
    }
  }

  func unknownSignalsAcknowledged(_ count: Int) {
    acks[AckLabel(result: AckLabel.unknown)].increment(by: count)
  }
}

/// All that counts requests of the same labels, found in one look. `polls` and `pollDuration` are nil for what is none.
private final class RequestInstruments: Sendable {
  let requests: Counter
  let duration: Histogram
  let polls: Counter?
  let pollDuration: Histogram?

  init(requests: Counter, duration: Histogram, polls: Counter?, pollDuration: Histogram?) {
    self.requests = requests
    self.duration = duration
    self.polls = polls
    self.pollDuration = pollDuration
  }
}

private struct RequestLabels: MetricLabels {
  static let names: [StaticString] = ["route", "method", "status"]
  let route: String
  let method: String
  let status: Int
  var values: [String] { [route, method, String(status)] }
}

/// Whom a limit is on.
struct LimitLabel: MetricLabels {
  static let names: [StaticString] = ["limit"]
  let subject: RateLimit.Subject
  var values: [String] { [subject.rawValue] }
}

private struct RouteLabel: MetricLabels {
  static let names: [StaticString] = ["route"]
  let route: String
  var values: [String] { [route] }
}

private struct StatusLabel: MetricLabels {
  static let names: [StaticString] = ["status"]
  let status: Int
  var values: [String] { [String(status)] }
}

private struct AckLabel: MetricLabels {
  static let names: [StaticString] = ["result"]
  /// A status, or `unknown`: no signal of the device has the id.
  let result: String
  var values: [String] { [result] }

  static let unknown = "unknown"
  static let results = Acknowledgement.Status.allCases.map(\.rawValue) + [unknown]
}
