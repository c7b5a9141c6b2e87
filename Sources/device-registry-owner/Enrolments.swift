import Commands
import DeviceRegistryClient
import Foundation

// The commands on enrolments.

extension OwnerSession {
  /// Writes the codes to a new file and prints the ids, or prints the codes.
  func createEnrolments() async throws {
    guard let path = arguments[.codesFile] else {
      guard arguments.has(.showCodes) else {
        throw UsageError(
          "\(Option.codesFile.name) FILE is missing: where to keep the codes, which are shown only once; "
            + "\(Option.showCodes.name) prints them")
      }
      try output.print(try await newEnrolments(), json: nil, IssuedEnrolment.columns(withCode: true))
      return
    }
    let file = try NewSecretFile(path, option: .codesFile)
    let enrolments: [IssuedEnrolment]
    do {
      enrolments = try await newEnrolments()
    } catch {
      file.remove()
      throw error
    }
    try file.write(
      enrolments.map(\.code).joined(separator: "\n"),
      ifLost: "the codes are lost; delete these enrolments and create others")
    try output.print(enrolments, json: nil, IssuedEnrolment.columns(withCode: false))
  }

  private func newEnrolments() async throws -> [IssuedEnrolment] {
    let (lifetime, key) = (arguments.number(.lifetime), UUID().uuidString)
    if let name = arguments[.movedDevice] {
      return [
        try await owner.createEnrolment(
          ofDevice: try await id(of: name), lifetimeSeconds: lifetime, idempotencyKey: key)
      ]
    }
    return try await owner.createEnrolments(
      count: arguments.number(.count) ?? 1, lifetimeSeconds: lifetime, deviceName: arguments[.enrolledName],
      labels: try labels(arguments.all(.newLabel), of: .newLabel), groups: arguments.all(.newGroup),
      deviceExpiresAt: try time(.expiresAt, .future), idempotencyKey: key)
  }

  func listEnrolments() async throws { try await output.print(owner.enrolments(), Enrolment.columns) }

  func deleteEnrolment() async throws {
    try await owner.deleteEnrolment(arguments.words[0])
    try Terminal.printFields(["deleted \(arguments.words[0])"])
  }
}

extension Enrolment {
  fileprivate static let columns: [Column<Enrolment>] = [
    Column("id") { .text($0.id) },
    Column("status") { .painted($0.status.rawValue, $0.status == .open ? .green : nil) },
    Column("device_name", isFlexible: true) { .text($0.deviceName) },
    Column("device_id", leavesOut: 2) { .text($0.deviceID) }, Column("expires_at") { .time($0.expiresAt) },
    Column("used_at", leavesOut: 1) { .time($0.usedAt) },
  ]
}

extension IssuedEnrolment {
  fileprivate static func columns(withCode: Bool) -> [Column<IssuedEnrolment>] {
    let code: [Column<IssuedEnrolment>] = withCode ? [Column("code") { .text($0.code) }] : []
    return [Column("id") { .text($0.id) }] + code + [
      Column("device_name", isFlexible: true) { .text($0.deviceName) },
      Column("expires_at") { .time($0.expiresAt) },
    ]
  }
}
