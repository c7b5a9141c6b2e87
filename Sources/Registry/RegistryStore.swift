/// The database. It enforces uniqueness, references, cascades and the finality of revocation. Every write is
/// one statement or transaction, so that concurrent requests cannot break these rules.
///
/// Besides the errors that an operation documents, each throws `overloaded`, `unavailable` and `fault`.
public protocol RegistryStore: ClientStore, DeviceStore, DeviceStateStore, GroupStore, CredentialStore,
  TokenStore,
  SignalStore,
  PresenceStore, StatisticsStore,
  EventStore, WebhookStore, IdempotencyStore, EnrolmentStore, SealingStore, BulkStore, TerminalStore,
  TelegramStore
{
  /// Throws unless the database responds.
  func ping() async throws(RegistryError)
}
