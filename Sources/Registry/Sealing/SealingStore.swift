/// Seals what is stored.
public protocol SealingStore: Sendable {
  /// The keys that sealed something in the database, at most `limit` for each column. It takes as long as there are keys.
  func sealingKeys(limit: Int) async throws(RegistryError) -> Set<SealingKeyID>

  /// One step of sealing everything with the first key of the store's sealer: of the next `limit` devices after `id`, by
  /// id, seals the keys that are plain or were sealed with another key. Nothing without a sealer.
  ///
  /// It ends no token and no cache entry, because it changes no secret. A device that changes at the same time may be
  /// passed over. Throws `unavailable` if a box does not open; then nothing of the step is stored.
  func sealDevices(after id: DeviceID?, limit: Int) async throws(RegistryError) -> SealingStep

  /// The same for the secrets of the next `limit` webhooks. Returns the last one; nil if no webhook follows the last
  /// step's.
  func sealWebhooks(after id: WebhookID?, limit: Int) async throws(RegistryError) -> WebhookID?
}

/// What a step of sealing did.
public struct SealingStep: Hashable, Sendable {
  /// The last device of the step; nil if no device follows the last step's.
  public let last: DeviceID?
  /// Devices of the step.
  public let count: Int
  /// Devices whose keys were sealed.
  public let sealed: Int
  /// Devices that changed at the same time and were passed over. Another round seals them.
  public let passedOver: Int

  public init(last: DeviceID?, count: Int, sealed: Int, passedOver: Int) {
    self.last = last
    self.count = count
    self.sealed = sealed
    self.passedOver = passedOver
  }
}
