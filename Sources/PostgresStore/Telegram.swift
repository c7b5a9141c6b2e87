public import Registry

extension PostgresStore {
  static let telegramStatements = [
    insertTelegramCode.prepared, selectTelegramCode.prepared, insertTelegramLink.prepared,
    selectTelegramLink.prepared, selectTelegramLinkOfChat.prepared, selectTelegramLinksOfClient.prepared,
    deleteTelegramLink.prepared, muteTelegramLink.prepared, moveTelegramLink.prepared,
    selectTelegramLinks.prepared, selectTelegramUpdate.prepared, moveTelegramUpdates.prepared,
    removeTelegramCodes.prepared, removeTelegramLinksOfDeletedClients.prepared,
  ]

  private static let telegramLinkColumns = PostgresColumns(
    """
    id, client_id, chat_id, user_id, created_at, muted_until, position_epoch, position_transaction, position_sequence
    """
  ) { row in
    TelegramLink(
      id: row.id(), clientID: row.clientID(), chat: TelegramChat(id: row.integer(), userID: row.integer()),
      createdAt: row.time(), mutedUntil: row.optionalTime(),
      position: EventPosition(epoch: row.integer(), transaction: row.integer(), sequence: row.integer()))
  }

  private static func values(of link: TelegramLink) -> [PostgresValue] {
    [
      .uuid(link.id), .text(link.clientID.text), .int8(link.chat.id), .int8(link.chat.userID),
      .timestamp(link.createdAt), .timestamp(orNull: link.mutedUntil), .int8(link.position.epoch),
      .int8(link.position.transaction), .int8(link.position.sequence),
    ]
  }

  // MARK: Codes

  public func insertTelegramCode(
    _ hash: TokenHash, of client: ClientID, expiresAt: Timestamp, change: Change
  ) async throws(RegistryError) {
    let stored = try await firstRow(
      of: Self.insertTelegramCode, for: client,
      [.text(client.text), .bytes(hash.bytes), .timestamp(expiresAt), .timestamp(change.time)]
        + Self.values(of: change.idempotencyClaim))
    if stored == nil { throw .clientNotFound }
  }

  static let insertTelegramCode = PostgresStatement(
    .write,
    """
    WITH created AS (
      INSERT INTO telegram_codes (client_id, code_hash, expires_at)
      SELECT id, $2::bytea, $3::timestamptz FROM clients WHERE id = $1::text AND deleted_at IS NULL
      ON CONFLICT (client_id) DO UPDATE SET code_hash = $2::bytea, expires_at = $3::timestamptz
      RETURNING client_id
    ), used AS (
      \(useKey(forEachOf: "created", resource: "client_id", from: 5, at: "$4::timestamptz"))
    )
    SELECT client_id FROM created
    """
  ) { $0.clientID() }

  public func client(
    ofTelegramCode hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> ClientID? {
    try await firstRow(of: Self.selectTelegramCode, .bytes(hash.bytes), .timestamp(time))
  }

  static let selectTelegramCode = PostgresStatement(
    .read,
    """
    SELECT client_id FROM telegram_codes
    WHERE code_hash = $1::bytea AND expires_at > $2::timestamptz AND \(isKept(client: "client_id"))
    """
  ) { $0.clientID() }

  // MARK: Links

  public func insertTelegramLink(
    _ link: TelegramLink, withCode hash: TokenHash, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.insertTelegramLink, for: link.clientID,
      [.bytes(hash.bytes)] + Self.values(of: change) + Self.values(of: link)) > 0
  }

  /// A trigger locks the client's row, so that it counts the client's links rightly.
  static let insertTelegramLink = PostgresStatement(
    .lockingWrite,
    """
    WITH spent AS (
      DELETE FROM telegram_codes
      WHERE code_hash = $1::bytea AND client_id = $8::text AND expires_at > $2::timestamptz
        AND NOT EXISTS (SELECT FROM telegram_links WHERE chat_id = $9::int8)
      RETURNING client_id
    ), linked AS (
      INSERT INTO telegram_links (\(telegramLinkColumns))
      SELECT $7::uuid, client_id, $9::int8, $10::int8, $11::timestamptz, $12::timestamptz, $13::int8, $14::int8, $15::int8
      FROM spent
      RETURNING id, client_id
    )
    \(record(
      .telegramLinked, forEachOf: "linked", by: change(from: 2),
      changes: "json_build_object('telegram_link_id', json_build_array(NULL, id))"))
    """)

  public func telegramLink(_ id: TelegramLinkID) async throws(RegistryError) -> TelegramLink? {
    try await firstRow(of: Self.selectTelegramLink, .uuid(id))
  }

  static let selectTelegramLink = PostgresStatement(
    .read, "SELECT \(telegramLinkColumns) FROM telegram_links WHERE id = $1::uuid",
    row: telegramLinkColumns.read)

  public func telegramLink(ofChat id: Int64) async throws(RegistryError) -> TelegramLink? {
    try await firstRow(of: Self.selectTelegramLinkOfChat, .int8(id))
  }

  static let selectTelegramLinkOfChat = PostgresStatement(
    .read,
    """
    SELECT \(telegramLinkColumns) FROM telegram_links WHERE chat_id = $1::int8 AND \(isKept(client: "client_id"))
    """, row: telegramLinkColumns.read)

  public func telegramLinks(of client: ClientID) async throws(RegistryError) -> [TelegramLink] {
    try await rows(of: Self.selectTelegramLinksOfClient, .text(client.text))
  }

  static let selectTelegramLinksOfClient = PostgresStatement(
    .read, "SELECT \(telegramLinkColumns) FROM telegram_links WHERE client_id = $1::text ORDER BY id",
    row: telegramLinkColumns.read)

  public func deleteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.deleteTelegramLink, for: owner, [.uuid(id), .text(owner.text)] + Self.values(of: change)) > 0
  }

  static let deleteTelegramLink = PostgresStatement(
    .waitingWrite,
    """
    WITH gone AS (
      DELETE FROM telegram_links WHERE id = $1::uuid AND client_id = $2::text RETURNING id, client_id
    )
    \(recordUnlinking(by: change(from: 3)))
    """)

  /// Of the rows of `gone`.
  private static func recordUnlinking(by change: String) -> String {
    record(
      .telegramUnlinked, forEachOf: "gone", by: change,
      changes: "json_build_object('telegram_link_id', json_build_array(id, NULL))")
  }

  public func muteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, until time: Timestamp?
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.muteTelegramLink, for: owner, .uuid(id), .text(owner.text), .timestamp(orNull: time)) > 0
  }

  static let muteTelegramLink = PostgresStatement(
    .write,
    "UPDATE telegram_links SET muted_until = $3::timestamptz WHERE id = $1::uuid AND client_id = $2::text")

  // MARK: The bot

  public func moveTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, to position: EventPosition
  ) async throws(RegistryError) -> Bool {
    try await run(
      Self.moveTelegramLink, for: owner, .uuid(id), .text(owner.text), .int8(position.epoch),
      .int8(position.transaction), .int8(position.sequence)) > 0
  }

  static let moveTelegramLink = PostgresStatement(
    .write,
    """
    UPDATE telegram_links
    SET position_epoch = $3::int8, position_transaction = $4::int8, position_sequence = $5::int8
    WHERE id = $1::uuid AND client_id = $2::text
    """)

  public func telegramLinks(
    after id: TelegramLinkID?, limit: Int
  ) async throws(RegistryError) -> [TelegramLink] {
    try await rows(
      of: Self.selectTelegramLinks, .uuid(id ?? TelegramLinkID(high: 0, low: 0)), .int8(Int64(limit)))
  }

  static let selectTelegramLinks = PostgresStatement(
    .read,
    """
    SELECT \(telegramLinkColumns) FROM telegram_links WHERE id > $1::uuid AND \(isKept(client: "client_id"))
    ORDER BY id LIMIT $2::int8
    """, row: telegramLinkColumns.read)

  public func nextTelegramUpdate(ofBot bot: Int64) async throws(RegistryError) -> Int64? {
    try await firstRow(of: Self.selectTelegramUpdate, .int8(bot))
  }

  static let selectTelegramUpdate = PostgresStatement(
    .read, "SELECT next_update FROM telegram_bots WHERE bot_id = $1::int8"
  ) { $0.integer() }

  public func moveTelegramUpdates(
    ofBot bot: Int64, from previous: Int64?, to next: Int64
  ) async throws(RegistryError) -> Bool {
    try await run(Self.moveTelegramUpdates, .int8(bot), .int8(orNull: previous), .int8(next)) > 0
  }

  static let moveTelegramUpdates = PostgresStatement(
    .write,
    """
    INSERT INTO telegram_bots AS bot (bot_id, next_update) VALUES ($1::int8, $3::int8)
    ON CONFLICT (bot_id) DO UPDATE SET next_update = $3::int8 WHERE bot.next_update = $2::int8
    """)

  // MARK: Retention

  public func removeTelegramCodes(
    expiredBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await run(Self.removeTelegramCodes, .timestamp(time), .int8(Int64(maximumRows)))
  }

  static let removeTelegramCodes = PostgresStatement(
    .backgroundWrite,
    """
    DELETE FROM telegram_codes WHERE client_id = ANY (ARRAY(
      SELECT client_id FROM telegram_codes WHERE expires_at < $1::timestamptz ORDER BY expires_at LIMIT $2::int8
      FOR UPDATE SKIP LOCKED)) AND expires_at < $1::timestamptz
    """)

  /// Deletes links of a deleted client ($1), or of all, at most $2.
  static let removeTelegramLinksOfDeletedClients = PostgresStatement(
    .backgroundWrite,
    """
    WITH gone AS (
      DELETE FROM telegram_links WHERE id = ANY (ARRAY(
        SELECT telegram_links.id FROM clients JOIN telegram_links ON client_id = clients.id
        WHERE deleted_at IS NOT NULL AND clients.id = COALESCE($1::text, clients.id)
        LIMIT $2::int8 FOR UPDATE OF telegram_links SKIP LOCKED))
      RETURNING id, client_id
    )
    \(recordUnlinking(by: change(from: 3)))
    """)
}
