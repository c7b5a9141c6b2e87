internal import EventLoop
public import Registry

// One statement for each index of `DeviceFilter.Index`. The conditions that the index does not serve are parameters, null
// where there is no condition: they are tested on a bounded number of devices.

extension SQLiteStore {
  public func devices(
    of clientID: ClientID, matching filter: DeviceFilter, at times: FilterTimes, after cursor: DeviceCursor?,
    limit: Int, scan: Int
  ) async throws(RegistryError) -> FoundDevices {
    let statuses = filter.statuses.map { " \($0.map(\.rawValue).joined(separator: " ")) " }
    let values: [SQLiteValue] =
      [.text(clientID.text)] + Self.values(of: cursor) + [
        .integer(Int64(limit)), .integer(Int64(scan)), .time(times.now), .time(times.onlineSince),
        .text(statuses), .text(Self.json(of: filter.labels)), .text(filter.group?.text),
        .text(filter.namePart?.text), .bool(orNull: filter.isOnline), .time(filter.seenBefore),
        .bool(orNull: filter.isModeConfirmed),
      ]
    let rows: [FoundDevice] =
      switch filter.index {
      case .all: try await rows(of: Self.findAmongAll, values)
      case .revoked: try await rows(of: Self.findAmongRevoked, values)
      case .suspended: try await rows(of: Self.findAmongSuspended, values)
      case .expiring: try await rows(of: Self.findAmongExpiring, values)
      case .unconfirmed: try await rows(of: Self.findAmongUnconfirmed, values)
      case .group: try await rows(of: Self.findInGroup, values)
      case .label(let key, let value):
        try await rows(of: Self.findWithLabel, values + [.text(key), .text(value)])
      case .key(let key): try await rows(of: Self.findWithKey, values + [.text(key)])
      }
    return FoundDevices(
      devices: rows.filter(\.isFound).map(\.device),
      readTo: rows.last { !$0.isFound }.map { DeviceCursor(createdAt: $0.device.createdAt, id: $0.device.id) })
  }

  private static func values(of cursor: DeviceCursor?) -> [SQLiteValue] {
    [cursor.map { .time($0.createdAt) } ?? .integer(.min), cursor.map { .id($0.id) } ?? .text("")]
  }

  /// Arrays of a key and its value or null; nil without conditions. Keys and values have no characters that JSON escapes.
  private static func json(of labels: [DeviceFilter.LabelCondition]) -> String? {
    guard !labels.isEmpty else { return nil }
    let pairs = labels.map { "[\"\($0.key)\",\($0.value.map { "\"\($0)\"" } ?? "null")]" }
    return "[\(pairs.joined(separator: ","))]"
  }

  /// A row of a page: a device that meets the conditions, or the last one that was read.
  struct FoundDevice {
    let isFound: Bool
    let device: Device
  }

  private static let foundColumns = SQLiteColumns("found, \(shownDeviceColumns)") {
    FoundDevice(isFound: $0.bool(), device: shownDeviceColumns.read(&$0))
  }

  static let findAmongAll = SQLiteStatement(
    find("ix_devices_client_created", where: "true"), row: foundColumns.read)
  static let findAmongRevoked = SQLiteStatement(
    find("ix_devices_client_revoked", where: "revoked"), row: foundColumns.read)
  static let findAmongSuspended = SQLiteStatement(
    find(
      "ix_devices_client_suspended", where: "NOT revoked AND (suspended_at IS NOT NULL OR NOT is_active)"),
    row: foundColumns.read)
  static let findAmongExpiring = SQLiteStatement(
    find("ix_devices_client_expiring", where: "expires_at IS NOT NULL AND NOT revoked"),
    row: foundColumns.read)
  static let findAmongUnconfirmed = SQLiteStatement(
    find("ix_devices_client_unconfirmed", where: isUnconfirmed), row: foundColumns.read)
  static let findInGroup = SQLiteStatement(
    find("ix_device_groups_group", of: "device_groups", where: "group_name = ?10 AND \(isShownGroup)"),
    row: foundColumns.read)
  static let findWithLabel = SQLiteStatement(
    find("ix_device_labels_value", of: "device_labels", where: "key = ?15 AND value = ?16"),
    row: foundColumns.read)
  static let findWithKey = SQLiteStatement(
    find("ix_device_labels_key", of: "device_labels", where: "key = ?15"), row: foundColumns.read)

  private static let isUnconfirmed = "NOT revoked AND confirmed_version IS NOT mode_version"

  /// That the group of the filter is not being deleted.
  private static let isShownGroup = """
    EXISTS (
      SELECT 1 FROM groups AS shown WHERE shown.client_id = ?1 AND shown.name = ?10 AND shown.deleted_at IS NULL
    )
    """

  /// The status of a row of `devices`.
  private static func status(at time: String) -> String {
    """
    CASE WHEN revoked THEN 'revoked'
      WHEN NOT is_active OR suspended_at IS NOT NULL AND (suspended_until IS NULL OR suspended_until > \(time))
        THEN 'suspended'
      WHEN expires_at <= \(time) THEN 'expired'
      ELSE 'active' END
    """
  }

  /// All conditions. `lower` changes only ASCII letters.
  private static let conditions = """
    (?8 IS NULL OR instr(?8, ' ' || \(status(at: "?6")) || ' '))
      AND (?9 IS NULL OR NOT EXISTS (
        SELECT 1 FROM json_each(?9) AS wanted WHERE NOT EXISTS (
          SELECT 1 FROM device_labels AS held
          WHERE held.device_id = devices.id AND held.key = json_extract(wanted.value, '$[0]')
            AND ifnull(json_extract(wanted.value, '$[1]'), held.value) = held.value)))
      AND (?10 IS NULL OR instr(' ' || groups || ' ', ' ' || ?10 || ' ') AND \(isShownGroup))
      AND (?11 IS NULL OR instr(lower(device_name), ?11))
      AND (?12 IS NULL OR ifnull(last_seen > ?7, 0) = ?12)
      AND (?13 IS NULL OR last_seen < ?13)
      AND (?14 IS NULL OR NOT revoked AND (confirmed_version IS mode_version) = ?14)
    """

  /// The first devices of an index after the cursor (?2, ?3): ?5 are read, and ?4 returned that meet the conditions. The
  /// inner query, a co-routine, ends as soon as the page is full. If it does not become full, the last device that was read
  /// is added.
  ///
  /// - Parameter table: `devices`, or a table with its order that has an index of the condition.
  private static func find(_ index: String, of table: String = "devices", where condition: String) -> String {
    let id = table == "devices" ? "devices.id" : "device_id"
    let join = table == "devices" ? "" : "CROSS JOIN devices ON devices.id = device_id"
    let listed = """
      \(table).client_id = ?1 AND \(condition) AND (\(table).created_at, \(id)) > (?2, ?3)
      ORDER BY \(table).created_at, \(id)
      """
    return """
      WITH page AS MATERIALIZED (
        SELECT \(shownDeviceColumns) FROM (
          SELECT devices.* FROM \(table) INDEXED BY \(index) \(join) WHERE \(listed) LIMIT ?5
        ) AS devices WHERE \(conditions) LIMIT ?4
      )
      SELECT 1 AS found, * FROM page
      UNION ALL
      SELECT 0, \(shownDeviceColumns) FROM devices WHERE id = CASE
        WHEN (SELECT count(*) FROM page) < ?4
        THEN (SELECT \(id) FROM \(table) INDEXED BY \(index) WHERE \(listed) LIMIT 1 OFFSET ?5 - 1) END
      """
  }

  public func countDevices(
    of clientID: ClientID, at times: FilterTimes, after cursor: DeviceCursor?, scan: Int
  ) async throws(RegistryError) -> (counts: DeviceCounts, readTo: DeviceCursor?) {
    let found = try await rows(
      of: Self.countByStatus,
      [.text(clientID.text)] + Self.values(of: cursor) + [
        .integer(Int64(scan)), .time(times.now), .time(times.onlineSince),
      ]
    ).first
    guard let found else { throw .fault(cause: "count of devices: no row") }
    return found
  }

  static let countByStatus = SQLiteStatement(
    """
    SELECT counts.*, last.created_at, last.id FROM (
      SELECT count(*), count(*) FILTER (WHERE revoked), count(*) FILTER (WHERE status = 'suspended'),
        count(*) FILTER (WHERE status = 'expired'), count(*) FILTER (WHERE is_online),
        count(*) FILTER (WHERE is_unconfirmed),
        count(*) FILTER (WHERE trading_mode = 'close_only' AND NOT revoked),
        count(*) FILTER (WHERE trading_mode = 'halted' AND NOT revoked)
      FROM (
        SELECT revoked, trading_mode, \(status(at: "?5")) AS status, last_seen > ?6 AS is_online,
          \(isUnconfirmed) AS is_unconfirmed
        FROM devices INDEXED BY ix_devices_client_created WHERE \(listed) LIMIT ?4
      )
    ) AS counts LEFT JOIN (
      SELECT created_at, id FROM devices INDEXED BY ix_devices_client_created WHERE \(listed) LIMIT 1 OFFSET ?4 - 1
    ) AS last
    """
  ) { row in
    let counts = DeviceCounts(
      total: Int(row.integer()), revoked: Int(row.integer()), suspended: Int(row.integer()),
      expired: Int(row.integer()), online: Int(row.integer()), unconfirmed: Int(row.integer()),
      closeOnly: Int(row.integer()), halted: Int(row.integer()))
    let (createdAt, id) = (row.optionalTime(), row.optionalID() as DeviceID?)
    return (counts: counts, readTo: createdAt.map { DeviceCursor(createdAt: $0, id: id!) })
  }

  /// The client's devices after the cursor (?2, ?3).
  private static let listed = "client_id = ?1 AND (created_at, id) > (?2, ?3) ORDER BY created_at, id"
}
