/// The database. It enforces uniqueness, references, cascades and the finality of revocation. Every write is
/// one statement or transaction, so that concurrent requests cannot break these rules.
///
/// Besides the errors that an operation documents, each throws `overloaded`, `unavailable` and `fault`.
public protocol RegistryStore: ClientStore, DeviceStore, CredentialStore, TokenStore, SignalStore, PresenceStore
{
  /// Throws unless the database responds.
  func ping() async throws(RegistryError)
}

extension RegistryStore {
  /// Throws `clientNotFound` if there is no such client. Called where an answer would mislead the owner of a token whose
  /// client does not exist: before an empty list, and before a device or signal is reported as missing or foreign.
  func testExistence(of id: ClientID) async throws(RegistryError) {
    guard try await client(id) != nil else { throw .clientNotFound }
  }
}
