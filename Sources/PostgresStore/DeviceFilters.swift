public import Registry

// One statement for each index of `DeviceFilter.Index`: connections prepare all of them, and every plan is known. The
// conditions that the index does not serve are parameters, null where there is no condition: they are tested on a bounded
// number of devices.

extension PostgresStore {
  static let deviceFilterStatements = [
    findAmongAll.prepared, findAmongRevoked.prepared, findAmongSuspended.prepared, findAmongExpiring.prepared,
    findAmongUnconfirmed.prepared, findInGroup.prepared, findWithLabel.prepared, findWithKey.prepared,
    countDevices.prepared,
  ]

  public func devices(
    of clientID: ClientID, matching filter: DeviceFilter, at times: FilterTimes, after cursor: DeviceCursor?,
    limit: Int, scan: Int
  ) async throws(RegistryError) -> FoundDevices {
    let keys = filter.labels.filter { $0.value == nil }.map { PostgresValue.text($0.key) }
    let common: [PostgresValue] =
      [.text(clientID.text)] + Self.values(of: cursor) + [
        .int8(Int64(limit)), .int8(Int64(scan)), .timestamp(times.now), .timestamp(times.onlineSince),
        filter.statuses.map { .array(of: .text, $0.map { .text($0.rawValue) }) } ?? .null,
        filter.labelValues.isEmpty ? .null : .jsonb(Labels(filter.labelValues).json),
        keys.isEmpty ? .null : .array(of: .text, keys), .text(orNull: filter.group?.text),
        .text(orNull: filter.namePart?.text), .bool(orNull: filter.isOnline),
        .timestamp(orNull: filter.seenBefore), .bool(orNull: filter.isModeConfirmed),
      ]
    let rows: [FoundDevice] =
      switch filter.index {
      case .all: try await rows(of: Self.findAmongAll, for: clientID, common)
      case .revoked: try await rows(of: Self.findAmongRevoked, for: clientID, common)
      case .suspended: try await rows(of: Self.findAmongSuspended, for: clientID, common)
      case .expiring: try await rows(of: Self.findAmongExpiring, for: clientID, common)
      case .unconfirmed: try await rows(of: Self.findAmongUnconfirmed, for: clientID, common)
      case .group: try await rows(of: Self.findInGroup, for: clientID, common)
      case .label(let key, let value):
        try await rows(of: Self.findWithLabel, for: clientID, common + [.text(key), .text(value)])
      case .key(let key): try await rows(of: Self.findWithKey, for: clientID, common + [.text(key)])
      }
    return FoundDevices(rows)
  }

  private static func values(of cursor: DeviceCursor?) -> [PostgresValue] {
    [cursor.map { .timestamp($0.createdAt) } ?? .earliest, .uuid(cursor?.id ?? DeviceID(high: 0, low: 0))]
  }

  private static let foundColumns = PostgresColumns("found, \(shownDeviceColumns)") {
    FoundDevice(isFound: $0.bool(), device: shownDeviceColumns.read(&$0))
  }

  static let findAmongAll = PostgresStatement(.read, find(where: "true"), row: foundColumns.read)
  static let findAmongRevoked = PostgresStatement(.read, find(where: "revoked"), row: foundColumns.read)
  static let findAmongSuspended = PostgresStatement(
    .read, find(where: "NOT revoked AND (suspended_at IS NOT NULL OR NOT is_active)"), row: foundColumns.read)
  static let findAmongExpiring = PostgresStatement(
    .read, find(where: "expires_at IS NOT NULL AND NOT revoked"), row: foundColumns.read)
  static let findAmongUnconfirmed = PostgresStatement(
    .read, find(where: isUnconfirmed), row: foundColumns.read)
  static let findInGroup = PostgresStatement(
    .read, find(in: "device_groups", where: "group_name = $11::text AND \(isShownGroup)"),
    row: foundColumns.read)
  static let findWithLabel = PostgresStatement(
    .read, find(in: "device_labels", where: "key = $16::text AND value = $17::text"), row: foundColumns.read)
  static let findWithKey = PostgresStatement(
    .read, find(in: "device_labels", where: "key = $16::text"), row: foundColumns.read)

  private static let isUnconfirmed = "NOT revoked AND confirmed_version IS DISTINCT FROM mode_version"

  /// That the group of the filter is not being deleted.
  private static let isShownGroup = """
    EXISTS (
      SELECT FROM groups AS shown
      WHERE shown.client_id = $1::text AND shown.name = $11::text AND shown.deleted_at IS NULL
    )
    """

  /// All conditions. In the collation C, `lower` changes only ASCII letters.
  private static let conditions = """
    ($8::text[] IS NULL OR \(status(at: "$6::timestamptz")) = ANY ($8::text[]))
      AND ($9::jsonb IS NULL OR labels @> $9::jsonb) AND ($10::text[] IS NULL OR labels ?& $10::text[])
      AND ($11::text IS NULL OR $11::text = ANY (string_to_array(groups, ' ')) AND \(isShownGroup))
      AND ($12::text IS NULL OR strpos(lower(device_name COLLATE "C"), $12::text) > 0)
      AND ($13::boolean IS NULL OR coalesce(last_seen > $7::timestamptz, false) = $13::boolean)
      AND ($14::timestamptz IS NULL OR last_seen < $14::timestamptz)
      AND ($15::boolean IS NULL OR NOT revoked AND (confirmed_version IS NOT DISTINCT FROM mode_version) = $15::boolean)
    """

  /// The first devices of an index after the cursor ($2, $3): `$5` are read, and `$4` returned that meet the conditions. The
  /// inner query ends as soon as the page is full. If it does not become full, the last device that was read is added.
  ///
  /// - Parameter table: `devices`, or a table with its order that has an index of the condition.
  private static func find(in table: String = "devices", where condition: String) -> String {
    let id = table == "devices" ? "devices.id" : "device_id"
    let join = table == "devices" ? "" : "JOIN devices ON devices.id = device_id"
    let listed = """
      \(table).client_id = $1::text AND \(condition)
        AND (\(table).created_at, \(id)) > ($2::timestamptz, $3::uuid)
      ORDER BY \(table).created_at, \(id)
      """
    return """
      WITH page AS MATERIALIZED (
        SELECT \(shownDeviceColumns) FROM (
          SELECT devices.*, \(table).created_at AS listed_at, \(id) AS listed_id FROM \(table) \(join)
          WHERE \(listed) LIMIT $5::int8
        ) AS devices WHERE \(conditions) ORDER BY listed_at, listed_id LIMIT $4::int8
      )
      SELECT true AS found, * FROM page
      UNION ALL
      SELECT false, \(shownDeviceColumns) FROM devices WHERE id = CASE
        WHEN (SELECT count(*) FROM page) < $4::int8
        THEN (SELECT \(id) FROM \(table) WHERE \(listed) OFFSET $5::int8 - 1 LIMIT 1) END
      """
  }

  public func countDevices(
    of clientID: ClientID, at times: FilterTimes, after cursor: DeviceCursor?, scan: Int
  ) async throws(RegistryError) -> (counts: DeviceCounts, readTo: DeviceCursor?) {
    let found = try await firstRow(
      of: Self.countDevices, for: clientID,
      [.text(clientID.text)] + Self.values(of: cursor) + [
        .int8(Int64(scan)), .timestamp(times.now), .timestamp(times.onlineSince),
      ])
    guard let found else { throw .fault(cause: "count of devices: no row") }
    return found
  }

  static let countDevices = PostgresStatement(
    .read,
    """
    SELECT counts.*, last.created_at, last.id FROM (
      SELECT count(*), count(*) FILTER (WHERE revoked), count(*) FILTER (WHERE status = 'suspended'),
        count(*) FILTER (WHERE status = 'expired'), count(*) FILTER (WHERE is_online),
        count(*) FILTER (WHERE is_unconfirmed),
        count(*) FILTER (WHERE trading_mode = 'close_only' AND NOT revoked),
        count(*) FILTER (WHERE trading_mode = 'halted' AND NOT revoked)
      FROM (
        SELECT revoked, trading_mode, \(status(at: "$5::timestamptz")) AS status, last_seen > $6::timestamptz AS is_online,
          \(isUnconfirmed) AS is_unconfirmed
        FROM devices WHERE \(listed) LIMIT $4::int8
      ) AS counted
    ) AS counts LEFT JOIN (
      SELECT created_at, id FROM devices WHERE \(listed) OFFSET $4::int8 - 1 LIMIT 1
    ) AS last ON true
    """
  ) { row in
    let counts = DeviceCounts(
      total: Int(row.integer()), revoked: Int(row.integer()), suspended: Int(row.integer()),
      expired: Int(row.integer()), online: Int(row.integer()), unconfirmed: Int(row.integer()),
      closeOnly: Int(row.integer()), halted: Int(row.integer()))
    let (createdAt, id) = (row.optionalTime(), row.optionalID() as DeviceID?)
    return (counts: counts, readTo: createdAt.map { DeviceCursor(createdAt: $0, id: id!) })
  }

  /// The client's devices after the cursor ($2, $3).
  private static let listed = """
    client_id = $1::text AND (created_at, id) > ($2::timestamptz, $3::uuid) ORDER BY created_at, id
    """
}

/// A row of a page: a device that meets the conditions, or the last one that was read.
struct FoundDevice {
  let isFound: Bool
  let device: Device
}

extension FoundDevices {
  fileprivate init(_ rows: [FoundDevice]) {
    self.init(
      devices: rows.filter(\.isFound).map(\.device),
      readTo: rows.last { !$0.isFound }.map { DeviceCursor(createdAt: $0.device.createdAt, id: $0.device.id) })
  }
}
