internal import EventLoop
internal import Observability
internal import Registry

/// Metrics of the process, with the names of Prometheus' client libraries.
enum ProcessMetrics {
  static func describe(in metrics: Metrics, version: String, startedAt: Timestamp) {
    metrics.gauges("build_info", "The version that runs; always 1.", by: VersionLabel.self)[
      VersionLabel(version: version)
    ].set(1)
    let startSeconds = Double(startedAt.millisecondsSince1970) / 1000
    metrics.gauge("process_start_time_seconds", "When the service started, since 1970 in UTC.") { startSeconds }
    metrics.gauge("process_resident_memory_bytes", "Memory that the process holds in RAM.") {
      ProcessUse.residentBytes.map(Double.init)
    }
    metrics.counter("process_cpu_seconds_total", "Processor time of the process.") {
      ProcessUse.processorSeconds
    }
    metrics.gauge("process_open_fds", "Open descriptors.") { ProcessUse.openDescriptors.map(Double.init) }
    let limit = Double(ProcessSettings.descriptorLimit)
    metrics.gauge("process_max_fds", "Maximum open descriptors.") { limit }
  }
}

private struct VersionLabel: MetricLabels {
  static let names: [StaticString] = ["version"]
  let version: String
  var values: [String] { [version] }
}
