public import Registry

extension PostgresStore {
  static let signalStatements = [
    startSignal.prepared, continueSignal.prepared, selectSignals.prepared, selectSignal.prepared,
    selectDeliveries.prepared,
    selectDeviceSignals.prepared, cancelSignal.prepared, countDeliveries.prepared, acknowledge.prepared,
    recordHandOuts.prepared, removeSignals.prepared,
  ]

  private static let signalColumns = PostgresColumns(
    "signals.id, client_id, payload, created_at, signals.expires_at"
  ) {
    Signal(
      id: $0.id(), clientID: $0.clientID(), payload: $0.bytes(), createdAt: $0.time(), expiresAt: $0.time())
  }

  public func insertSignal(
    _ signal: Signal, to selector: DeviceSelector, bounds: SignalBounds, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress {
    let answer = try await firstRow(
      of: Self.startSignal, for: signal.clientID,
      [
        .uuid(signal.id), .text(signal.clientID.text), .bytes(signal.payload), .timestamp(signal.createdAt),
        .timestamp(signal.expiresAt), .int8(Int64(bounds.live)), .int8(Int64(bounds.kept)),
        .int8(Int64(bounds.deliveries)), .int8(Int64(step)),
      ] + Self.values(of: selector) + Self.values(of: change) + Self.values(of: change.idempotencyClaim))
    guard let answer else { throw .fault(cause: "start_signal: no row") }
    switch answer.refusal {
    case nil: return SignalProgress(deliveries: Int(answer.stored ?? 0), last: answer.last)
    case "clientNotFound": throw .clientNotFound
    case "groupNotFound": throw .groupNotFound
    case "deviceNotFound": throw .deviceNotFound
    case "notOwner": throw .notOwner
    case "deviceRevoked": throw .deviceRevoked
    case "tooManySignals": throw .tooManySignals(limit: bounds.live)
    case "tooManyKeptSignals": throw .tooManyKeptSignals(limit: bounds.kept)
    case "tooManyDeliveries": throw .tooManyDeliveries(limit: bounds.deliveries)
    case let other?: throw .fault(cause: "start_signal: \(other)")
    }
  }

  static let startSignal = PostgresStatement(
    .lockingWrite,
    """
    WITH started AS (
      SELECT refusal, stored, last_device FROM start_signal(
        $1::uuid, $2::text, $3::text, $4::timestamptz, $5::timestamptz, $6::int8, $7::int8, $8::int8, $9::int8,
        $10::uuid[], $11::text, $12::jsonb)
    ), recorded AS (
      \(record(
        .signalCreated, forEachOf: "started WHERE refusal IS NULL AND last_device IS NULL", client: "$2::text",
        signal: "$1", by: change(from: 13), changes: numberOfDevices))
    ), used AS (
      \(useKey(
        forEachOf: "started WHERE refusal IS NULL AND last_device IS NULL", resource: "$1::uuid", from: 18,
        at: "$13::timestamptz"))
    )
    SELECT refusal, stored, last_device FROM started
    """
  ) { (refusal: $0.optionalText(), stored: $0.optionalInteger(), last: $0.optionalID() as DeviceID?) }

  public func continueSignal(
    _ signal: Signal, to selector: DeviceSelector, after progress: SignalProgress, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress {
    guard let last = progress.last else { return progress }
    let answer = try await firstRow(
      of: Self.continueSignal, for: signal.clientID,
      [
        .uuid(signal.id), .uuid(last), .int8(Int64(progress.deliveries)), .int8(Int64(step)),
        .text(signal.clientID.text),
      ] + Self.values(of: selector).dropFirst() + Self.values(of: change)
        + Self.values(of: change.idempotencyClaim))
    guard let answer, let stored = answer.stored else {
      throw .unavailable(cause: "the signal was removed before all of its deliveries were stored")
    }
    return SignalProgress(deliveries: Int(stored), last: answer.last)
  }

  static let continueSignal = PostgresStatement(
    .nextStep,
    """
    WITH continued AS (
      SELECT stored, last_device FROM continue_signal($1::uuid, $2::uuid, $3::int8, $4::int8, $6::text, $7::jsonb)
    ), recorded AS (
      \(record(
        .signalCreated, forEachOf: "continued WHERE stored IS NOT NULL AND last_device IS NULL", client: "$5::text",
        signal: "$1", by: change(from: 8), changes: numberOfDevices))
    ), used AS (
      \(useKey(
        forEachOf: "continued WHERE stored IS NOT NULL AND last_device IS NULL", resource: "$1::uuid", from: 13,
        at: "$8::timestamptz"))
    )
    SELECT stored, last_device FROM continued
    """
  ) { (stored: $0.optionalInteger(), last: $0.optionalID() as DeviceID?) }

  /// A signal is recorded when it becomes visible.
  private static let numberOfDevices = "json_build_object('devices', json_build_array(NULL, stored))"

  public func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary] {
    // Sorts after every id that the registry creates.
    let start = cursor?.id ?? SignalID(high: .max, low: .max)
    return try await rows(of: Self.selectSignals, .text(clientID.text), .uuid(start), .int8(Int64(limit)))
  }

  static let selectSignals = PostgresStatement(
    .read,
    """
    SELECT id, created_at, expires_at, devices::int8, cancelled_at FROM signals
    WHERE client_id = $1::text AND id < $2::uuid AND is_visible
    ORDER BY id DESC LIMIT $3::int8
    """
  ) {
    SignalSummary(
      id: $0.id(), createdAt: $0.time(), expiresAt: $0.time(), devices: Int($0.integer()),
      cancelledAt: $0.optionalTime())
  }

  public func signal(
    _ id: SignalID
  ) async throws(RegistryError) -> (signal: Signal, devices: Int, cancelledAt: Timestamp?)? {
    try await firstRow(of: Self.selectSignal, .uuid(id))
  }

  static let selectSignal = PostgresStatement(
    .read,
    "SELECT \(signalColumns), devices::int8, cancelled_at FROM signals WHERE id = $1::uuid AND is_visible"
  ) {
    (signal: signalColumns.read(&$0), devices: Int($0.integer()), cancelledAt: $0.optionalTime())
  }

  public func deliveries(
    of id: SignalID, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [Delivery] {
    try await rows(
      of: Self.selectDeliveries, .uuid(id), .uuid(cursor ?? DeviceID(high: 0, low: 0)), .int8(Int64(limit)))
  }

  static let selectDeliveries = PostgresStatement(
    .read,
    """
    SELECT device_id, signal_id, status, broker_ticket, error, acked_at, handed_out_at,
      cancelled_at IS NOT NULL OR (SELECT signals.cancelled_at IS NOT NULL FROM signals WHERE id = $1::uuid)
    FROM deliveries
    WHERE signal_id = $1::uuid AND device_id > $2::uuid
      AND EXISTS (SELECT FROM signals WHERE id = $1::uuid AND is_visible)
    ORDER BY device_id LIMIT $3::int8
    """
  ) {
    Delivery(
      deviceID: $0.id(), acknowledgement: $0.optionalAcknowledgement(), ackedAt: $0.optionalTime(),
      handedOutAt: $0.optionalTime(), isCancelled: $0.bool())
  }

  public func signals(
    for id: DeviceID, of owner: ClientID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> DeviceSignals {
    var signals = DeviceSignals()
    let rows = try await rows(
      of: Self.selectDeviceSignals, .uuid(id), .timestamp(time), .int8(Int64(limit)), .text(owner.text))
    for (isCancelled, isHandedOut, signal) in rows {
      if isCancelled {
        signals.cancelled.append(CancelledSignal(id: signal.id, expiresAt: signal.expiresAt))
      } else {
        signals.pending.append(signal)
        if !isHandedOut { signals.notHandedOut.append(signal.id) }
      }
    }
    return signals
  }

  /// The index has what is pending by expiry, so the ids of all pending signals are sorted. OFFSET 0 keeps the planner from
  /// joining all of them before that. Cancelled ones are found from the other side: few signals are cancelled.
  static let selectDeviceSignals = PostgresStatement(
    .read,
    """
    (
      SELECT false, (SELECT handed_out_at IS NOT NULL FROM deliveries WHERE signal_id = signals.id AND device_id = $1::uuid),
        \(signalColumns) FROM (
        SELECT signal_id FROM deliveries
        WHERE device_id = $1::uuid AND acked_at IS NULL AND cancelled_at IS NULL AND expires_at > $2::timestamptz
        ORDER BY signal_id OFFSET 0
      ) AS pending JOIN signals ON signals.id = signal_id
      WHERE is_visible AND cancelled_at IS NULL ORDER BY signal_id LIMIT $3::int8
    ) UNION ALL (
      SELECT true, true, cancelled.id, $4::text, '', cancelled.expires_at, cancelled.expires_at FROM (
        SELECT recent.id, recent.expires_at FROM (
          SELECT id, expires_at FROM signals
          WHERE client_id = $4::text AND cancelled_at IS NOT NULL AND expires_at > $2::timestamptz
          ORDER BY id DESC LIMIT \(CancelledSignal.maximumSearched)
        ) AS recent JOIN deliveries ON signal_id = recent.id AND device_id = $1::uuid
        WHERE acked_at IS NULL
        UNION
        SELECT signal_id, expires_at FROM deliveries
        WHERE device_id = $1::uuid AND cancelled_at IS NOT NULL AND acked_at IS NULL AND expires_at > $2::timestamptz
      ) AS cancelled ORDER BY cancelled.id DESC LIMIT \(CancelledSignal.maximumListed)
    )
    """
  ) { ($0.bool(), $0.bool(), signalColumns.read(&$0)) }

  public func cancelSignal(
    _ id: SignalID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await firstRow(
      of: Self.cancelSignal, for: owner, [.uuid(id), .text(owner.text)] + Self.values(of: change)) != nil
  }

  static let cancelSignal = PostgresStatement(
    .urgentWrite,
    """
    WITH cancelled AS (
      UPDATE signals SET cancelled_at = $3::timestamptz
      WHERE id = $1::uuid AND client_id = $2::text AND is_visible AND cancelled_at IS NULL AND expires_at > $3::timestamptz
      RETURNING id, client_id
    ), recorded AS (
      \(record(
        .signalCancelled, forEachOf: "cancelled", signal: "id", by: change(from: 3),
        changes: "json_build_object('cancelled_at', json_build_array(NULL, \(text(ofTime: "$3::timestamptz"))))"))
    )
    SELECT true FROM cancelled
    """
  ) { $0.bool() }

  public func countDeliveries(
    of id: SignalID, ackedUpTo time: Timestamp, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> (all: Int, acked: Int, last: DeviceID?) {
    let counted = try await firstRow(
      of: Self.countDeliveries, .uuid(id), .timestamp(time), .uuid(cursor ?? DeviceID(high: 0, low: 0)),
      .int8(Int64(limit)))
    return counted ?? (0, 0, nil)
  }

  static let countDeliveries = PostgresStatement(
    .read,
    """
    WITH step AS (
      SELECT device_id, acked_at FROM deliveries WHERE signal_id = $1::uuid AND device_id > $3::uuid
      ORDER BY device_id LIMIT $4::int8
    )
    SELECT count(*), count(*) FILTER (WHERE acked_at <= $2::timestamptz),
      (SELECT device_id FROM step ORDER BY device_id DESC LIMIT 1)
    FROM step
    """
  ) { (all: Int($0.integer()), acked: Int($0.integer()), last: $0.optionalID() as DeviceID?) }

  public func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool] {
    guard !acknowledgements.isEmpty else { return [:] }
    return Dictionary(
      uniqueKeysWithValues: try await rows(
        of: Self.acknowledge, for: owner,
        [
          .uuid(id), .text(owner.text), .uuids(acknowledgements.map(\.signalID)),
          .array(of: .text, acknowledgements.map { .text($0.status.rawValue) }),
          .array(of: .text, acknowledgements.map { .text(orNull: $0.brokerTicket) }),
          .array(of: .text, acknowledgements.map { .text(orNull: $0.error) }),
        ] + Self.values(of: change)))
  }

  /// Rows are locked in the order of their ids, so that concurrent requests cannot deadlock. The second request
  /// finds `acked_at` set: after waiting for a lock, PostgreSQL reads the row again (manual, section 13.2.1).
  static let acknowledge = PostgresStatement(
    .write,
    """
    WITH known AS (
      SELECT signal_id, given.status, given.broker_ticket, given.error
      FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[])
        AS given (signal_id, status, broker_ticket, error) JOIN deliveries USING (signal_id)
      WHERE device_id = $1::uuid AND EXISTS (SELECT FROM devices WHERE id = $1::uuid AND client_id = $2::text)
      ORDER BY signal_id FOR NO KEY UPDATE OF deliveries
    ), stored AS (
      UPDATE deliveries SET status = known.status, broker_ticket = known.broker_ticket, error = known.error,
        acked_at = $7::timestamptz
      FROM known
      WHERE deliveries.signal_id = known.signal_id AND device_id = $1::uuid AND acked_at IS NULL
      RETURNING deliveries.signal_id, deliveries.status
    ), recorded AS (
      \(record(
        .signalAcknowledged, forEachOf: "stored ORDER BY signal_id", client: "$2::text", device: "$1",
        signal: "signal_id", by: change(from: 7),
        changes: "json_build_object('state', json_build_array('pending', 'acked'), 'status', json_build_array(NULL, status))"
      ))
    )
    SELECT signal_id, stored.signal_id IS NOT NULL FROM known LEFT JOIN stored USING (signal_id)
    """
  ) { ($0.id() as SignalID, $0.bool()) }

  public func recordHandOuts(_ handOuts: [HandOut]) async throws(RegistryError) -> [HandOut] {
    guard !handOuts.isEmpty else { return [] }
    return try await rows(
      of: Self.recordHandOuts, .uuids(handOuts.map(\.signalID)), .uuids(handOuts.map(\.deviceID)),
      .array(of: .text, handOuts.map { .text($0.clientID.text) }),
      .array(of: .timestamp, handOuts.map { .timestamp($0.at) }))
  }

  /// Rows are locked in the order of their ids, as acknowledgements lock them.
  static let recordHandOuts = PostgresStatement(
    .backgroundWrite,
    """
    WITH known AS (
      SELECT signal_id, device_id, given.client_id, given.at
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) AS given (signal_id, device_id, client_id, at)
        JOIN deliveries USING (signal_id, device_id)
      WHERE handed_out_at IS NULL
        AND EXISTS (SELECT FROM devices WHERE devices.id = device_id AND devices.client_id = given.client_id)
      ORDER BY signal_id, device_id FOR NO KEY UPDATE OF deliveries
    )
    UPDATE deliveries SET handed_out_at = known.at FROM known
    WHERE deliveries.signal_id = known.signal_id AND deliveries.device_id = known.device_id
    RETURNING known.signal_id, known.device_id, known.client_id, known.at
    """
  ) { HandOut(signalID: $0.id(), deviceID: $0.id(), clientID: $0.clientID(), at: $0.time()) }

  public func removeSignals(
    expiredBefore time: Timestamp, abandonedBefore: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    let deleted = try await firstRow(
      of: Self.removeSignals, .timestamp(time), .timestamp(abandonedBefore), .int8(Int64(maximumRows)))
    return Int(deleted ?? 0)
  }

  static let removeSignals = PostgresStatement(
    .backgroundWrite, "SELECT remove_signals($1::timestamptz, $2::timestamptz, $3::int8)"
  ) { $0.integer() }
}

extension PostgresRow {
  /// Reads signal_id, status, broker_ticket and error of a delivery; nil if the status is null. Database
  /// constraints allow only the values of `Status`.
  fileprivate mutating func optionalAcknowledgement() -> Acknowledgement? {
    let (signalID, status, ticket, error) = (id() as SignalID, optionalText(), optionalText(), optionalText())
    return status.map {
      Acknowledgement(
        signalID: signalID, status: Acknowledgement.Status(rawValue: $0)!, brokerTicket: ticket, error: error)
    }
  }
}
