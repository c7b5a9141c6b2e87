/// The database. It holds the rules on uniqueness, references, cascades and the finality of revocation, and
/// every write is one statement or transaction, so that no race breaks them.
///
/// Besides the errors that each operation names, each throws `overloaded`, `unavailable` and `fault`.
public protocol RegistryStore: ClientStore, DeviceStore, CredentialStore, TokenStore, SignalStore, PresenceStore
{
  /// Throws unless the database answers now.
  func ping() async throws(RegistryError)
}
