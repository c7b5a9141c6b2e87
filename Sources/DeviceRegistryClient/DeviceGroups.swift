internal import Encoding

// An owner's requests on groups of devices.

/// A group of devices.
public struct DeviceGroup: Decodable, Hashable, Sendable {
  /// 1 to 64 of `A-Z a-z 0-9 . _ -`.
  public let name: String
  public let description: String?
  public let deviceCount: Int

  enum CodingKeys: String, CodingKey {
    case name, description
    case deviceCount = "devices"
  }
}

extension OwnerClient {
  /// Creates a group, or changes its description. Throws a `problem` of kind `too-many-groups`.
  @discardableResult
  public func putGroup(_ name: String, description: String? = nil) async throws(RegistryClientError)
    -> DeviceGroup
  {
    try await perform(.putGroup(name, description: description))
  }

  /// The owner's groups, by name. Pages are fetched as elements are read.
  public func groups() -> Pages<DeviceGroup> { Pages(exchange: exchange, target: groupsPath) }

  /// One group. Throws a `problem` with 404 if it does not exist.
  public func group(_ name: String) async throws(RegistryClientError) -> DeviceGroup {
    try await perform(.group(name))
  }

  /// Deletes a group; its devices stay. Throws as `group` does.
  public func deleteGroup(_ name: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("DELETE", path(ofGroup: name)))
  }

  /// Puts a device into a group. Repeating it has no effect. Throws as `group` and `device` do.
  public func addDevice(_ id: String, toGroup name: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("PUT", path(ofGroup: name) + "/devices/\(try String.pathID(id))"))
  }

  /// Takes a device out of a group. Repeating it has no effect. Throws as `addDevice` does.
  public func removeDevice(_ id: String, fromGroup name: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("DELETE", path(ofGroup: name) + "/devices/\(try String.pathID(id))"))
  }
}

private let groupsPath = "/api/v1/groups"

private func path(ofGroup name: String) -> String { "\(groupsPath)/\(PercentEncoding.encode(name))" }

private struct GroupBody: Encodable { let description: String? }

extension OwnerRequest<DeviceGroup> {
  package static func group(_ name: String) -> Self { Self("GET", path(ofGroup: name)) }

  package static func putGroup(_ name: String, description: String?) throws(RegistryClientError) -> Self {
    Self("PUT", path(ofGroup: name), body: try .json(GroupBody(description: description), "group"))
  }
}
