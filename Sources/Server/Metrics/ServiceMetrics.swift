internal import API
internal import Observability
internal import Registry
private import Synchronization

/// Counts requests and events; the contract defines the names. Holds the instruments but not `Metrics`, whose
/// closures retain the servers that call this: that would be a cycle.
final class ServiceMetrics: Sendable {
  private let devicesRegistered: Counter
  private let devicesEnrolled: Counter
  private let devicesRevoked: Counter
  private let rateLimited: MetricFamily<LimitLabel, Counter>
  private let refusedAfterStart: Counter
  private let polls: MetricFamily<StatusLabel, Counter>
  private let acks: MetricFamily<AckLabel, Counter>
  private let pollDuration: Histogram
  private let requests: MetricFamily<RequestLabels, Counter>
  private let requestDuration: MetricFamily<RouteLabel, Histogram>
  private let instruments = Mutex<[RequestLabels: RequestInstruments]>([:])

  /// Bounds of a request's duration, in seconds: a read takes less than a millisecond, a registration tens of
  /// milliseconds, and a request during a database outage several seconds.
  static let requestBounds = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]
  /// Bounds of a poll's duration, in seconds: at once, or parked for at most 30 s.
  static let pollBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 31]

  init(in metrics: Metrics) {
    devicesRegistered = metrics.counter("devices_registered_total", "Devices that were registered.")
    devicesEnrolled = metrics.counter(
      "devices_enrolled_total", "Codes that terminals used to get a device's secret.")
    devicesRevoked = metrics.counter("devices_revoked_total", "Devices that were revoked.")
    rateLimited = metrics.counters(
      "rate_limited_total", "Requests refused by a rate limit, by its subject.", by: LimitLabel.self)
    refusedAfterStart = metrics.counter(
      "requests_refused_after_start_total",
      "Signed requests that were refused because they may have been used before a start.")
    polls = metrics.counters("ea_poll_total", "Polls, by the HTTP status of the answer.", by: StatusLabel.self)
    acks = metrics.counters(
      "ea_ack_total", "First acks of signals by status, and acks of unknown signals.", by: AckLabel.self)
    pollDuration = metrics.histogram(
      "ea_poll_duration_seconds", "Time that polls took, parked ones included.", bounds: Self.pollBounds)
    requests = metrics.counters(
      "http_requests_total", "Requests, by route, method and the status of the answer.",
      by: RequestLabels.self)
    requestDuration = metrics.histograms(
      "http_request_duration_seconds",
      "Time from a request's arrival until its answer was made, by route.", bounds: Self.requestBounds,
      by: RouteLabel.self)
    // Labels that are known at the start begin at 0, so that the first event shows as an increase.
    _ = polls[StatusLabel(status: 200)]
    for subject in RateLimit.Subject.allCases { _ = rateLimited[LimitLabel(subject: subject)] }
    for result in AckLabel.results { _ = acks[AckLabel(result: result)] }
  }

  /// Counts an answered request. Callable from any thread. The answer waits for this.
  func count(_ request: AnsweredRequest) {
    let instruments = instruments(
      of: RequestLabels(route: request.route, method: request.method, status: request.status))
    instruments.requests.increment()
    instruments.duration.observe(nanoseconds: request.durationNanoseconds)
    instruments.polls?.increment()
    instruments.pollDuration?.observe(nanoseconds: request.durationNanoseconds)
    if request.isExpected { refusedAfterStart.increment() }
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
      // Beyond the maximum, new labels share one counter.
      if known.count < MetricFamily<RequestLabels, Counter>.maximumChildren { known[labels] = instruments }
      return instruments
    }
  }
}

extension ServiceMetrics: RegistryObserver {
  func changed(_ event: RegistryEvent) {
    switch event.kind {
    case .deviceRegistered: devicesRegistered.increment()
    case .deviceEnrolled: devicesEnrolled.increment()
    case .deviceRevoked: devicesRevoked.increment()
    case .signalAcknowledged: acks[AckLabel(result: event.status?.rawValue ?? AckLabel.unknown)].increment()
    default: break
    }
  }

  func unknownSignalsAcknowledged(_ count: Int) {
    acks[AckLabel(result: AckLabel.unknown)].increment(by: count)
  }
}

/// The instruments for requests of the same labels, found with one look-up. `polls` and `pollDuration` are nil for
/// other routes.
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

/// The subject of a rate limit.
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
  /// The status, or `unknown` if the device has no signal with the id.
  let result: String
  var values: [String] { [result] }

  static let unknown = "unknown"
  static let results = Acknowledgement.Status.allCases.map(\.rawValue) + [unknown]
}
