internal import EventLoop
public import Registry

extension SQLiteStore {
  public func recordPresence(_ presence: [DeviceID: Presence]) async throws(RegistryError) {
    guard !presence.isEmpty else { return }
    try await write(Turn(of: nil, .background)) { (writer) throws(RegistryError) in
      try writer.transaction { () throws(RegistryError) in
        for (id, times) in presence {
          try writer.run(
            Self.recordPresence, .id(id), .time(times.lastSeen), .time(times.lastPoll), .time(times.lastAck),
            .text(times.instance?.text))
        }
      }
    }
  }

  /// A comparison with NULL is not true, so a null parameter changes nothing.
  static let recordPresence = SQLiteStatement(
    """
    UPDATE devices SET
      last_seen = CASE WHEN ?2 > ifnull(last_seen, -1) THEN ?2 ELSE last_seen END,
      last_poll = CASE WHEN ?3 > ifnull(last_poll, -1) THEN ?3 ELSE last_poll END,
      last_ack = CASE WHEN ?4 > ifnull(last_ack, -1) THEN ?4 ELSE last_ack END,
      instance_polled_at = CASE WHEN instance_id = ?5 AND ?3 > instance_polled_at THEN ?3 ELSE instance_polled_at END
    WHERE id = ?1
    """)
}
