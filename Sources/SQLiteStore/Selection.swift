public import Registry

// Which devices a selector means.

extension SQLiteStore {
  public func selectedDevices(
    _ selector: DeviceSelector, of client: ClientID, after id: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [DeviceID] {
    try await read(
      SQLiteStatement(Self.selection(by: selector, from: 1)) { $0.id() as DeviceID },
      Self.values(of: selector, client: client, after: id, limit: limit))
  }

  /// A SELECT of the first devices after an id, by id. Its parameters are those of `values(of:)`, of which the first is
  /// `?first`.
  static func selection(by selector: DeviceSelector, from first: Int) -> String {
    let (client, last, limit) = ("?\(first)", "?\(first + 1)", "?\(first + 2)")
    let (name, value, labels) = ("?\(first + 3)", "?\(first + 4)", "?\(first + 5)")
    return switch selector {
    case .devices, .all:
      """
      SELECT id FROM devices INDEXED BY ix_devices_client_unrevoked
      WHERE client_id = \(client) AND NOT revoked AND id > \(last) ORDER BY id LIMIT \(limit)
      """
    case .group:
      """
      SELECT device_id FROM device_groups INDEXED BY ix_device_groups_members CROSS JOIN devices ON id = device_id
      WHERE device_groups.client_id = \(client) AND group_name = \(name) AND device_id > \(last) AND NOT revoked
      ORDER BY device_id LIMIT \(limit)
      """
    case .labels:
      """
      SELECT device_id FROM device_labels INDEXED BY ix_device_labels_members CROSS JOIN devices ON id = device_id
      WHERE device_labels.client_id = \(client) AND key = \(name) AND value = \(value) AND device_id > \(last)
        AND NOT revoked AND NOT EXISTS (
          SELECT 1 FROM json_each(\(labels)) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM device_labels AS its
            WHERE its.device_id = devices.id AND its.key = wanted.key AND its.value = wanted.value))
      ORDER BY device_id LIMIT \(limit)
      """
    }
  }

  /// - Parameter limit: nil for all.
  static func values(
    of selector: DeviceSelector, client: ClientID, after id: DeviceID?, limit: Int?
  ) -> [SQLiteValue] {
    let bounds: [SQLiteValue] = [
      .text(client.text), id.map { .id($0) } ?? .text(""), .integer(limit.map { Int64($0) } ?? -1),
    ]
    switch selector {
    case .devices, .all: return bounds
    case .group(let name): return bounds + [.text(name.text)]
    case .labels(let labels):
      let first = labels.values.min { $0.key < $1.key }
      return bounds + [.text(first?.key), .text(first?.value), .text(labels.json)]
    }
  }
}

extension SQLiteConnection {
  /// Throws `groupNotFound` if the client does not have the group.
  func checkGroup(_ name: GroupName, of client: ClientID) throws(RegistryError) {
    guard try hasRow(Self.selectGroup, .text(client.text), .text(name.text)) else { throw .groupNotFound }
  }

  private static let selectGroup = SQLiteStatement("SELECT 1 FROM groups WHERE client_id = ?1 AND name = ?2")
}
