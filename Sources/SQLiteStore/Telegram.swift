internal import EventLoop
public import Registry

extension SQLiteStore {
  private static let telegramLinkColumns = SQLiteColumns(
    """
    id, client_id, chat_id, user_id, created_at, muted_until, position_epoch, position_transaction, position_sequence
    """
  ) { row in
    TelegramLink(
      id: row.id(), clientID: row.clientID(), chat: TelegramChat(id: row.integer(), userID: row.integer()),
      createdAt: row.time(), mutedUntil: row.optionalTime(),
      position: EventPosition(epoch: row.integer(), transaction: row.integer(), sequence: row.integer()))
  }

  private static func values(of link: TelegramLink) -> [SQLiteValue] {
    [
      .id(link.id), .text(link.clientID.text), .integer(link.chat.id), .integer(link.chat.userID),
      .time(link.createdAt), .time(link.mutedUntil), .integer(link.position.epoch),
      .integer(link.position.transaction), .integer(link.position.sequence),
    ]
  }

  // MARK: Codes

  public func insertTelegramCode(
    _ hash: TokenHash, of client: ClientID, expiresAt: Timestamp, change: Change
  ) async throws(RegistryError) {
    try await write(Turn(of: client.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.hasRow(Self.hasClient, .text(client.text)) else { throw .clientNotFound }
        try writer.run(Self.insertTelegramCode, .text(client.text), .blob(hash.bytes), .time(expiresAt))
        try writer.useKey(of: change, for: client.text)
      }
    }
  }

  static let insertTelegramCode = SQLiteStatement(
    """
    INSERT INTO telegram_codes (client_id, code_hash, expires_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (client_id) DO UPDATE SET code_hash = ?2, expires_at = ?3
    """)

  public func client(
    ofTelegramCode hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> ClientID? {
    try await firstRow(of: Self.selectTelegramCode, .blob(hash.bytes), .time(time))
  }

  static let selectTelegramCode = SQLiteStatement(
    """
    SELECT client_id FROM telegram_codes
    WHERE code_hash = ?1 AND expires_at > ?2 AND \(isKept(client: "client_id"))
    """
  ) { $0.clientID() }

  // MARK: Links

  public func insertTelegramLink(
    _ link: TelegramLink, withCode hash: TokenHash, change: Change
  ) async throws(RegistryError) -> Bool {
    let owner = SQLiteValue.text(link.clientID.text)
    return try await write(Turn(of: link.clientID.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.hasRow(Self.hasClient, owner) else { throw .clientNotFound }
        let maximum = TelegramLink.maximumPerClient
        guard try writer.rows(of: Self.selectTelegramLinksOfClient, [owner]).count < maximum else {
          throw .tooManyTelegramLinks(limit: maximum)
        }
        let spent = try writer.run(
          Self.useTelegramCode, .blob(hash.bytes), owner, .time(change.time), .integer(link.chat.id))
        guard spent > 0 else { return false }
        try writer.run(Self.insertTelegramLink, Self.values(of: link))
        try writer.record(
          .telegramLinked, of: link.clientID, by: change,
          changes: ["telegram_link_id": (.null, .text(link.id.description))])
        return true
      }
    }
  }

  static let useTelegramCode = SQLiteStatement(
    """
    DELETE FROM telegram_codes WHERE code_hash = ?1 AND client_id = ?2 AND expires_at > ?3
      AND NOT EXISTS (SELECT 1 FROM telegram_links WHERE chat_id = ?4)
    """)

  static let insertTelegramLink = SQLiteStatement(
    "INSERT INTO telegram_links (\(telegramLinkColumns)) VALUES (\(telegramLinkColumns.parameters(from: 1)))")

  public func telegramLink(_ id: TelegramLinkID) async throws(RegistryError) -> TelegramLink? {
    try await firstRow(of: Self.selectTelegramLink, .id(id))
  }

  static let selectTelegramLink = SQLiteStatement(
    "SELECT \(telegramLinkColumns) FROM telegram_links WHERE id = ?1", row: telegramLinkColumns.read)

  public func telegramLink(ofChat id: Int64) async throws(RegistryError) -> TelegramLink? {
    try await firstRow(of: Self.selectTelegramLinkOfChat, .integer(id))
  }

  static let selectTelegramLinkOfChat = SQLiteStatement(
    """
    SELECT \(telegramLinkColumns) FROM telegram_links WHERE chat_id = ?1 AND \(isKept(client: "client_id"))
    """, row: telegramLinkColumns.read)

  public func telegramLinks(of client: ClientID) async throws(RegistryError) -> [TelegramLink] {
    try await rows(of: Self.selectTelegramLinksOfClient, .text(client.text))
  }

  static let selectTelegramLinksOfClient = SQLiteStatement(
    "SELECT \(telegramLinkColumns) FROM telegram_links WHERE client_id = ?1 ORDER BY id",
    row: telegramLinkColumns.read)

  public func deleteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        guard try writer.run(Self.deleteTelegramLink, .id(id), .text(owner.text)) > 0 else { return false }
        try writer.recordUnlinking(of: id, of: owner, by: change)
        return true
      }
    }
  }

  static let deleteTelegramLink = SQLiteStatement(
    "DELETE FROM telegram_links WHERE id = ?1 AND client_id = ?2")

  public func muteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, until time: Timestamp?
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.run(Self.muteTelegramLink, .id(id), .text(owner.text), .time(time)) > 0
    }
  }

  static let muteTelegramLink = SQLiteStatement(
    "UPDATE telegram_links SET muted_until = ?3 WHERE id = ?1 AND client_id = ?2")

  // MARK: The bot

  public func moveTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, to position: EventPosition
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: owner.hashValue)) { (writer) throws(RegistryError) in
      try writer.run(
        Self.moveTelegramLink, .id(id), .text(owner.text), .integer(position.epoch),
        .integer(position.transaction), .integer(position.sequence)) > 0
    }
  }

  static let moveTelegramLink = SQLiteStatement(
    """
    UPDATE telegram_links SET position_epoch = ?3, position_transaction = ?4, position_sequence = ?5
    WHERE id = ?1 AND client_id = ?2
    """)

  public func telegramLinks(
    after id: TelegramLinkID?, limit: Int
  ) async throws(RegistryError) -> [TelegramLink] {
    try await rows(of: Self.selectTelegramLinks, id.map { .id($0) } ?? .text(""), .integer(Int64(limit)))
  }

  static let selectTelegramLinks = SQLiteStatement(
    """
    SELECT \(telegramLinkColumns) FROM telegram_links WHERE id > ?1 AND \(isKept(client: "client_id"))
    ORDER BY id LIMIT ?2
    """, row: telegramLinkColumns.read)

  public func nextTelegramUpdate(ofBot bot: Int64) async throws(RegistryError) -> Int64? {
    try await firstRow(of: Self.selectTelegramUpdate, .integer(bot))
  }

  static let selectTelegramUpdate = SQLiteStatement("SELECT next_update FROM telegram_bots WHERE bot_id = ?1") {
    $0.integer()
  }

  public func moveTelegramUpdates(
    ofBot bot: Int64, from previous: Int64?, to next: Int64
  ) async throws(RegistryError) -> Bool {
    try await write(Turn(of: nil)) { (writer) throws(RegistryError) in
      try writer.run(Self.moveTelegramUpdates, .integer(bot), .integer(previous), .integer(next)) > 0
    }
  }

  static let moveTelegramUpdates = SQLiteStatement(
    """
    INSERT INTO telegram_bots (bot_id, next_update) VALUES (?1, ?3)
    ON CONFLICT (bot_id) DO UPDATE SET next_update = ?3 WHERE next_update = ?2
    """)

  // MARK: Retention

  public func removeTelegramCodes(
    expiredBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    try await write(Turn(of: nil, .background), .long) { (writer) throws(RegistryError) in
      try writer.run(Self.removeTelegramCodes, .time(time), .integer(Int64(maximumRows)))
    }
  }

  static let removeTelegramCodes = SQLiteStatement(
    """
    DELETE FROM telegram_codes WHERE client_id IN (
      SELECT client_id FROM telegram_codes WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)
    """)

  /// Deletes a link of a client.
  static let removeTelegramLinkOfClient = SQLiteStatement(
    """
    DELETE FROM telegram_links WHERE id = (SELECT id FROM telegram_links WHERE client_id = ?1 ORDER BY id LIMIT 1)
    RETURNING id
    """
  ) { $0.id() as TelegramLinkID }
}

extension SQLiteConnection {
  func recordUnlinking(of id: TelegramLinkID, of owner: ClientID, by change: Change) throws(RegistryError) {
    try record(
      .telegramUnlinked, of: owner, by: change,
      changes: ["telegram_link_id": (.text(id.description), .null)])
  }
}
