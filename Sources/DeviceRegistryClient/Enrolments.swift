public import Foundation

// An owner's requests on enrolments: codes with which terminals get their devices and secrets.

/// A code that works once, with which a terminal gets a device and its secret.
public struct Enrolment: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  public let status: Status
  /// The device whose secret the code replaces, or that it made.
  public let deviceID: String?
  /// The name of the new device, unless the terminal gives one.
  public let deviceName: String?
  /// Of the device that the code makes.
  public let labels: [String: String]
  public let groups: [String]
  /// From when on that device is refused; nil for never.
  public let deviceExpiresAt: Date?
  public let createdAt: Date
  public let expiresAt: Date
  public let usedAt: Date?

  public enum Status: String, Decodable, Hashable, Sendable {
    case open, used, expired
  }

  enum CodingKeys: String, CodingKey {
    case id, status, labels, groups
    case deviceID = "device_id"
    case deviceName = "device_name"
    case deviceExpiresAt = "device_expires_at"
    case createdAt = "created_at"
    case expiresAt = "expires_at"
    case usedAt = "used_at"
  }
}

/// A new enrolment with its code, which only this value contains.
public struct IssuedEnrolment: Decodable, Hashable, Sendable, Identifiable {
  /// A UUID in lower case.
  public let id: String
  /// Type it into the terminal.
  public let code: String
  /// The device whose secret the code replaces.
  public let deviceID: String?
  public let deviceName: String?
  public let expiresAt: Date

  enum CodingKeys: String, CodingKey {
    case id, code
    case deviceID = "device_id"
    case deviceName = "device_name"
    case expiresAt = "expires_at"
  }
}

extension IssuedEnrolment: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "\(id), code <redacted>" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}

extension OwnerClient {
  /// Creates codes for new devices, each shown only once.
  ///
  /// - Parameters:
  ///   - count: 1 to 500.
  ///   - lifetimeSeconds: 60 to 2,592,000 (30 days); nil for a quarter of an hour.
  ///   - deviceName: of several, each with its number; nil if the terminal or the registry makes it.
  ///   - labels: of each device: at most 16, by key.
  ///   - groups: of each device; they must exist, also when the code is used.
  ///   - deviceExpiresAt: from when on the devices are refused; nil for never.
  public func createEnrolments(
    count: Int = 1, lifetimeSeconds: Int? = nil, deviceName: String? = nil, labels: [String: String] = [:],
    groups: [String] = [], deviceExpiresAt: Date? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> [IssuedEnrolment] {
    let new = NewEnrolments(
      count: count, expires_in: lifetimeSeconds, device_name: deviceName, labels: labels.isEmpty ? nil : labels,
      groups: groups.isEmpty ? nil : groups, device_expires_at: deviceExpiresAt)
    let body = try Data.json(new, "enrolments")
    return try await perform(
      OwnerRequest("POST", enrolmentsPath, body: body, isCreating: true), idempotencyKey: idempotencyKey)
  }

  /// Creates a code that gives an existing device a new secret, for a terminal that moves. The old secret ends when the
  /// code is used. Throws as `device` does, and a `problem` with 409 for a revoked device.
  public func createEnrolment(
    ofDevice id: String, lifetimeSeconds: Int? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> IssuedEnrolment {
    let new = NewEnrolments(expires_in: lifetimeSeconds)
    let body: Data? = lifetimeSeconds == nil ? nil : try .json(new, "enrolment")
    let target = "/api/v1/devices/\(try String.pathID(id))/enrolment"
    return try await perform(
      OwnerRequest("POST", target, body: body, isCreating: true), idempotencyKey: idempotencyKey)
  }

  /// The owner's enrolments. Pages are fetched as elements are read.
  public func enrolments() -> Pages<Enrolment> { Pages(exchange: exchange, target: enrolmentsPath) }

  /// Deletes an enrolment, whose code no longer works. Throws a `problem` with 404 if it does not exist.
  public func deleteEnrolment(_ id: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("DELETE", "\(enrolmentsPath)/\(try String.pathID(id))"))
  }
}

private let enrolmentsPath = "/api/v1/enrolments"

private struct NewEnrolments: Encodable {
  var count: Int?
  var expires_in: Int?
  var device_name: String?
  var labels: [String: String]?
  var groups: [String]?
  var device_expires_at: Date?
}
