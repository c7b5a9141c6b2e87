import Commands
import DeviceRegistryClient
import Foundation

// The commands that print what devices did.

extension OwnerSession {
  func showDeviceStatistics() async throws {
    let id = try await id(of: arguments.words[0])
    try await output.print(owner.statistics(of: id, in: try period()), DeviceStatistics.columns(by: nil, [:]))
  }

  func showStatistics() async throws {
    let grouping = arguments[.statisticsBy].flatMap(StatisticsGrouping.init)
    let period = try period()
    // People read names.
    let names = grouping == .device && output.format == .table ? try await deviceNames() : [:]
    try await output.print(
      owner.statistics(in: period, by: grouping), DeviceStatistics.columns(by: grouping, names))
  }

  private func period() throws(UsageError) -> StatisticsPeriod {
    StatisticsPeriod(
      from: try time(.statisticsFrom, .past), to: try time(.statisticsTo, .past),
      step: arguments[.step].flatMap(StatisticsPeriod.Step.init) ?? .hour)
  }

  private func deviceNames() async throws -> [String: String] {
    var names: [String: String] = [:]
    for try await device in owner.devices() { names[device.id] = device.name }
    return names
  }
}

extension DeviceStatistics {
  /// - Parameter names: of devices, by id. A device without one is shown by its id.
  fileprivate static func columns(
    by grouping: StatisticsGrouping?, _ names: [String: String]
  ) -> [Column<DeviceStatistics>] {
    var columns: [Column<DeviceStatistics>] = []
    switch grouping {
    case nil: break
    case .device:
      columns.append(
        Column(names.isEmpty ? "device_id" : "device", isFlexible: true) { row in
          .text(row.deviceID.map { names[$0] ?? $0 })
        })
    case .group: columns.append(Column("group", isFlexible: true) { .text($0.group) })
    }
    return columns + [
      Column("from") { .text($0.from.formatted(.iso8601)) }, Column("polls") { .number($0.polls) },
      Column("online_seconds") { .number($0.onlineSeconds) }, Column("signals") { .number($0.signals) },
      Column("placed") { .number($0.placed) }, Column("failed") { .number($0.failed) },
      Column("skipped") { .number($0.skipped) }, Column("expired") { .number($0.expired) },
      Column("cancelled") { .number($0.cancelled) },
      Column("handed_out_ms_p50", leavesOut: 2) { .number($0.handedOutMilliseconds.p50) },
      Column("handed_out_ms_p95", leavesOut: 5) { .number($0.handedOutMilliseconds.p95) },
      Column("handed_out_ms_max", leavesOut: 1) { .number($0.handedOutMilliseconds.max) },
      Column("acked_ms_p50", leavesOut: 4) { .number($0.acknowledgedMilliseconds.p50) },
      Column("acked_ms_p95", leavesOut: 6) { .number($0.acknowledgedMilliseconds.p95) },
      Column("acked_ms_max", leavesOut: 3) { .number($0.acknowledgedMilliseconds.max) },
    ]
  }
}
