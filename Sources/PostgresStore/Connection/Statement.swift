/// Every statement that the store runs. Each is prepared once on each connection, under its case's name.
enum PostgresStatement: String, CaseIterable {
  case ping
  case client
  case clients
  case device
  case devices
  case checkRegistration
  case insertClient
  case deleteClient
  case insertDevice
  case renameDevice
  case renameDevices
  case revokeDevice
  case revokeDevices
  case hasDevices
  case credentials
  case tokenCredentials
  case rotateSecret
  case promoteNextSecret
  case insertToken
  case removeTokens
  case recordPresence
  case insertSignal
  case signals
  case signal
  case deliveries
  case pendingSignals
  case acknowledge
  case removeSignals

  /// Whether it changes anything, and so waits for the disk.
  var isWrite: Bool {
    switch self {
    case .ping, .client, .clients, .device, .devices, .checkRegistration: false
    case .hasDevices, .credentials, .tokenCredentials: false
    case .signals, .signal, .deliveries, .pendingSignals: false
    case .insertClient, .deleteClient, .insertDevice: true
    case .renameDevice, .renameDevices, .revokeDevice, .revokeDevices: true
    case .rotateSecret, .promoteNextSecret, .insertToken, .removeTokens, .recordPresence: true
    case .insertSignal, .acknowledge, .removeSignals: true
    }
  }

  private static let clientColumns = "id, email, telegram_id, created_at"
  static let deviceColumns = """
    id, client_id, device_name, is_active, revoked, last_poll, last_ack, last_seen, created_at, updated_at
    """

  var sql: String {
    switch self {
    case .ping:
      "SELECT 1"
    case .client:
      "SELECT \(Self.clientColumns) FROM clients WHERE id = $1::text"
    case .clients:
      """
      SELECT \(Self.clientColumns) FROM clients
      WHERE (created_at, id) > ($1::timestamptz, $2::text COLLATE "C")
      ORDER BY created_at, id LIMIT $3::int8
      """
    case .device:
      "SELECT \(Self.deviceColumns) FROM devices WHERE id = $1::uuid"
    case .devices:
      """
      SELECT \(Self.deviceColumns) FROM devices
      WHERE client_id = $1::text AND (created_at, id) > ($2::timestamptz, $3::uuid)
      ORDER BY created_at, id LIMIT $4::int8
      """
    case .checkRegistration:
      """
      SELECT device_count >= $3::int8,
        EXISTS (SELECT FROM devices WHERE client_id = $1::text AND device_name = $2::text AND NOT revoked)
      FROM clients WHERE id = $1::text
      """
    case .insertClient:
      """
      INSERT INTO clients (id, email, telegram_id, created_at)
      VALUES ($1::text, $2::text, $3::int8, $4::timestamptz)
      """
    case .deleteClient:
      "DELETE FROM clients WHERE id = $1::text"
    case .insertDevice:
      // Registrations of one client queue up at its row. Who comes next sees the count as it then is: after a
      // wait for a lock, PostgreSQL reads the row anew (manual, section 13.2.1).
      """
      WITH owner AS (
        SELECT id, device_count FROM clients WHERE id = $2::text FOR NO KEY UPDATE
      ), created AS (
        INSERT INTO devices
          (id, client_id, device_name, hmac_key_hash, stored_key, server_key, is_active, revoked,
           last_poll, last_ack, last_seen, created_at, updated_at)
        SELECT $1::uuid, id, $3::text, $4::text, $5::bytea, $6::bytea, $7::boolean, $8::boolean,
           $9::timestamptz, $10::timestamptz, $11::timestamptz, $12::timestamptz, $13::timestamptz
        FROM owner WHERE device_count < $14::int8
        RETURNING id
      )
      SELECT EXISTS (SELECT FROM owner), EXISTS (SELECT FROM created)
      """
    case .renameDevice:
      """
      UPDATE devices SET device_name = $4::text, updated_at = $3::timestamptz
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked
      RETURNING \(Self.deviceColumns)
      """
    case .renameDevices:
      """
      \(Self.withFound(given: "$3::timestamptz[], $4::text[]", as: "moment, name"))
      UPDATE devices SET device_name = found.name, updated_at = found.moment
      FROM found WHERE devices.id = found.id
      RETURNING devices.\(Self.deviceColumns)
      """
    case .revokeDevice:
      """
      UPDATE devices SET revoked = true, is_active = false, updated_at = $3::timestamptz
      WHERE id = $1::uuid AND client_id = $2::text AND NOT revoked
      RETURNING \(Self.deviceColumns)
      """
    case .revokeDevices:
      """
      \(Self.withFound(given: "$3::timestamptz[]", as: "moment"))
      UPDATE devices SET revoked = true, is_active = false, updated_at = found.moment
      FROM found WHERE devices.id = found.id
      RETURNING devices.\(Self.deviceColumns)
      """
    case .hasDevices: Self.hasDevicesSQL
    case .credentials: Self.credentialsSQL
    case .tokenCredentials: Self.tokenCredentialsSQL
    case .rotateSecret: Self.rotateSecretSQL
    case .promoteNextSecret: Self.promoteNextSecretSQL
    case .insertToken: Self.insertTokenSQL
    case .removeTokens: Self.removeTokensSQL
    case .recordPresence: Self.recordPresenceSQL
    case .insertSignal: Self.insertSignalSQL
    case .signals: Self.signalsSQL
    case .signal: Self.signalSQL
    case .deliveries: Self.deliveriesSQL
    case .pendingSignals: Self.pendingSignalsSQL
    case .acknowledge: Self.acknowledgeSQL
    case .removeSignals: Self.removeSignalsSQL
    }
  }

  /// Of the devices with these ids ($1) and owners ($2) those that are not revoked, locked, and what is given for each of
  /// them. Those that another transaction has locked are not waited for.
  private static func withFound(given: String, as columns: String) -> String {
    """
    WITH found AS (
      SELECT given.* FROM unnest($1::uuid[], $2::text[], \(given)) AS given (id, owner, \(columns))
        JOIN devices ON devices.id = given.id AND client_id = given.owner
      WHERE NOT revoked FOR NO KEY UPDATE OF devices SKIP LOCKED
    )
    """
  }

  /// Settings of a session that the URL, the role or the database left open.
  static let sessionSetup = """
    SELECT set_config('default_transaction_isolation', 'read committed', false),
      CASE current_setting('statement_timeout') WHEN '0'
        THEN set_config('statement_timeout', '\(statementTimeoutMilliseconds)', false) END,
      \(PostgresParameters.serverSideSetup)
    """

  /// Below the deadline of our own, so that a slow statement fails alone and its neighbours live.
  static let statementTimeoutMilliseconds = 4000
}
