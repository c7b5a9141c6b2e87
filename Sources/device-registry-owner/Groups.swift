import Commands
import DeviceRegistryClient

// The commands on groups; putting devices into them is in BulkChanges.swift.

extension OwnerSession {
  func listGroups() async throws { try await output.print(owner.groups(), DeviceGroup.columns) }

  /// A group and its devices. JSON and CSV have the devices.
  func showGroup() async throws {
    let name = arguments.words[0]
    let (group, json) = try await owner.answer(to: .group(name))
    if output.format == .table {
      try output.print(one: group, json: json, DeviceGroup.columns)
      try Terminal.print(lines: "")
    }
    try await output.print(owner.devices(matching: DeviceFilter(group: name)), Device.columns)
  }

  func createGroup() async throws {
    let (group, json) = try await owner.answer(
      to: .putGroup(arguments.words[0], description: arguments[.description]))
    try output.print(one: group, json: json, DeviceGroup.columns)
  }

  func deleteGroup() async throws {
    let name = arguments.words[0]
    try confirm("Delete the group \(name)? Its devices stay.")
    try await owner.deleteGroup(name)
    try Terminal.printFields(["deleted \(name)"])
  }
}

extension DeviceGroup {
  fileprivate static let columns: [Column<DeviceGroup>] = [
    Column("name", isFlexible: true) { .text($0.name) }, Column("devices") { .number($0.deviceCount) },
    Column("description", isFlexible: true) { .text($0.description) },
  ]
}
