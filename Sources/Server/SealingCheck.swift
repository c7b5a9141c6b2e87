internal import Commands
internal import Registry

/// Tests that the sealing keys are those of the database.
enum SealingCheck {
  /// Keys that are looked for, in each column.
  private static let maximumKeys = 2 * SealingKeyFile.maximumKeys

  /// Throws `UsageError` if something in the database was sealed with a key that the sealer does not have, and the errors
  /// of the store.
  static func test(_ sealer: KeyFileSealer?, against store: any RegistryStore) async throws {
    let missing: Set<SealingKeyID>
    do throws(RegistryError) {
      missing = try await store.sealingKeys(limit: maximumKeys).subtracting(sealer?.keys ?? [])
    } catch {
      throw CommandFailure(error)
    }
    guard let key = missing.map(\.description).min() else { return }
    let problem =
      sealer.map { "\($0.path) does not have the key \(key), with which secrets in the database were sealed" }
      ?? "the database has secrets that were sealed with the key \(key)"
    throw UsageError(
      .sealingKeyFile,
      "\(problem): name the file that has this key. If it is lost, see \"Sealing\" in docs/operations.md")
  }
}
