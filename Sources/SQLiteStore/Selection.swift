public import Registry

// Which devices a selector means.

extension SQLiteStore {
  public func selectedDevices(
    _ selector: DeviceSelector, of client: ClientID, after id: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [DeviceID] {
    try await read(
      Self.selectSelected[selector], Self.values(of: selector, client: client, after: id, limit: limit))
  }

  static let selectSelected = SQLiteSelections { selection in
    SQLiteStatement(selection(1)) { $0.id() as DeviceID }
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

  static let selectGroup = SQLiteStatement(
    "SELECT 1 FROM groups WHERE client_id = ?1 AND name = ?2 AND deleted_at IS NULL")
}

/// A statement for each kind of selector. A selector that lists devices has none.
struct SQLiteSelections<Row>: Sendable {
  private let all: SQLiteStatement<Row>
  private let group: SQLiteStatement<Row>
  private let labels: SQLiteStatement<Row>

  /// - Parameter make: makes a statement of a SELECT of the first devices after an id, by id. The parameters of the SELECT
  ///   are those of `SQLiteStore.values(of:)`, and begin with the number that it is given.
  init(_ make: (_ selection: (Int) -> String) -> SQLiteStatement<Row>) {
    all = make { first in
      """
      SELECT id FROM devices INDEXED BY ix_devices_client_unrevoked
      WHERE client_id = ?\(first) AND NOT revoked AND id > ?\(first + 1) ORDER BY id LIMIT ?\(first + 2)
      """
    }
    group = make { first in
      """
      SELECT device_id FROM device_groups INDEXED BY ix_device_groups_members CROSS JOIN devices ON id = device_id
      WHERE device_groups.client_id = ?\(first) AND group_name = ?\(first + 3) AND device_id > ?\(first + 1)
        AND NOT revoked
      ORDER BY device_id LIMIT ?\(first + 2)
      """
    }
    labels = make { first in
      """
      SELECT device_id FROM device_labels INDEXED BY ix_device_labels_members CROSS JOIN devices ON id = device_id
      WHERE device_labels.client_id = ?\(first) AND key = ?\(first + 3) AND value = ?\(first + 4)
        AND device_id > ?\(first + 1) AND NOT revoked AND NOT EXISTS (
          SELECT 1 FROM json_each(?\(first + 5)) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM device_labels AS its
            WHERE its.device_id = devices.id AND its.key = wanted.key AND its.value = wanted.value))
      ORDER BY device_id LIMIT ?\(first + 2)
      """
    }
  }

  subscript(selector: DeviceSelector) -> SQLiteStatement<Row> {
    switch selector {
    case .devices, .all: all
    case .group: group
    case .labels: labels
    }
  }
}
