public import Registry

// Which devices a selector means. The function `selected_devices` of the database decides that for signals too.

extension PostgresStore {
  static let selectionStatements = [selectSelected.prepared]

  /// The values of a selector, which a statement has as consecutive parameters: listed ids, group, labels. All are null
  /// for all devices.
  static func values(of selector: DeviceSelector) -> [PostgresValue] {
    switch selector {
    case .devices(let ids): [.uuids(ids), .null, .null]
    case .all: [.null, .null, .null]
    case .group(let name): [.null, .text(name.text), .null]
    case .labels(let labels): [.null, .null, .jsonb(labels.json)]
    }
  }

  public func selectedDevices(
    _ selector: DeviceSelector, of client: ClientID, after id: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [DeviceID] {
    try await rows(
      of: Self.selectSelected,
      [.text(client.text), .uuid(id ?? DeviceID(high: 0, low: 0)), .int8(Int64(limit))]
        + Self.values(of: selector).dropFirst())
  }

  static let selectSelected = PostgresStatement(
    .read,
    "SELECT unnest(selected_devices($1::text, $4::text, $5::jsonb, $2::uuid, $3::int8))"
  ) { $0.id() as DeviceID }
}
