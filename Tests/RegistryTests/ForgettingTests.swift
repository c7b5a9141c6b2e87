import Registry
import TestSupport
import Testing

/// What ends a secret and the tokens that were issued for it.
enum SecretEnd: CaseIterable {
  case revocation, suspension, clientSuspension
  case rotationWithoutGrace, clientDeletion, signatureWithNextSecret, tokenForNextSecret
  /// By another process; this one is notified.
  case notifiedRevocation, missedNotifications

  static let ownOperations: [SecretEnd] = [
    .revocation, .suspension, .clientSuspension, .rotationWithoutGrace, .clientDeletion,
    .signatureWithNextSecret, .tokenForNextSecret,
  ]

  /// The store's operation that ends the secret, if this process does it.
  var operation: InterruptibleStore.Operation {
    switch self {
    case .revocation, .notifiedRevocation, .missedNotifications: .revokeDevice
    case .suspension: .suspendDevice
    case .clientSuspension: .suspendClient
    case .rotationWithoutGrace: .rotateSecret
    case .clientDeletion: .deleteClient
    case .signatureWithNextSecret, .tokenForNextSecret: .promoteNextSecret
    }
  }

  /// What a device learns that proves its secret; nil where that is no longer a secret.
  var truth: DeviceAccess.Refusal? {
    switch self {
    case .revocation, .notifiedRevocation, .missedNotifications: .revoked(reason: nil)
    case .suspension: .suspended(reason: nil, until: nil)
    case .clientSuspension: .clientSuspended(reason: nil)
    case .rotationWithoutGrace, .clientDeletion, .signatureWithNextSecret, .tokenForNextSecret: nil
    }
  }

  /// Prepares the end of the secret and returns a closure that ends it.
  func prepared(
    for device: ProvingDevice
  ) async throws -> @Sendable () async throws(RegistryError) -> Void {
    let (registry, id, owner) = (device.registry, device.id, UnnotifiedRegistry.owner)
    switch self {
    case .revocation:
      return { () async throws(RegistryError) in
        _ = try await registry.devices.revokeDevice(id, owner: owner, change: registry.change)
      }
    case .suspension:
      return { () async throws(RegistryError) in
        _ = try await registry.devices.suspendDevice(id, owner: owner, until: nil, change: registry.change)
      }
    case .clientSuspension:
      return { () async throws(RegistryError) in
        _ = try await registry.clients.suspendClient(owner, change: registry.change)
      }
    case .rotationWithoutGrace:
      return { () async throws(RegistryError) in _ = try await registry.rotate(id, graceSeconds: 0) }
    case .clientDeletion:
      return { () async throws(RegistryError) in
        try await registry.clients.deleteClient(owner, change: registry.change)
      }
    case .signatureWithNextSecret:
      let next = try await registry.rotate(id, graceSeconds: 3600)
      return { () async throws(RegistryError) in
        try await registry.authentication.admit(registry.session(of: id, signedWith: next))
      }
    case .tokenForNextSecret:
      let next = try await registry.rotate(id, graceSeconds: 3600)
      return { () async throws(RegistryError) in _ = try await registry.token(of: id, for: next) }
    case .notifiedRevocation:
      return { () async throws(RegistryError) in
        _ = try await registry.database.revokeDevice(id, of: owner, change: registry.change)
        registry.live.credentialsChanged(of: id)
      }
    case .missedNotifications:
      return { () async throws(RegistryError) in
        _ = try await registry.database.revokeDevice(id, of: owner, change: registry.change)
        registry.live.changesMissed()
      }
    }
  }
}

@Suite("What a process remembers of a device, without notifications", .timeLimit(.minutes(1)))
struct ForgettingTests {
  @Test(arguments: SecretEnd.allCases, Proof.allCases)
  func `is not used once its secret has ended`(_ end: SecretEnd, _ proof: Proof) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
      let endSecret = try await end.prepared(for: device)
      try await device.remembered()
      try await endSecret()
      await #expect(throws: proof.refusal(after: end)) { _ = try await device.session() }
    }
  }

  @Test(arguments: SecretEnd.ownOperations, Proof.allCases)
  func `is not used either where the database ended the secret, but its answer was lost`(
    _ end: SecretEnd, _ proof: Proof
  ) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
      let endSecret = try await end.prepared(for: device)
      try await device.remembered()
      registry.store.interrupt(end.operation) { () async throws(RegistryError) in
        throw .unavailable(cause: "the answer was lost")
      }
      await #expect(throws: RegistryError.unavailable(cause: "the answer was lost")) { try await endSecret() }
      await #expect(throws: proof.refusal(after: end)) { _ = try await device.session() }
    }
  }

  @Test(arguments: SecretEnd.allCases, Proof.allCases)
  func `is not kept where its secret ended while it was fetched`(_ end: SecretEnd, _ proof: Proof) async throws
  {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
      let endSecret = try await end.prepared(for: device)
      registry.live.changesMissed()
      registry.store.interrupt(proof == .signature ? .credentials : .tokenCredentials, endSecret)
      _ = try await device.session()
      await #expect(throws: proof.refusal(after: end)) { _ = try await device.session() }
    }
  }

  @Test(arguments: Proof.allCases)
  func `is not used once a revocation is repeated that another process made`(_ proof: Proof) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
      try await device.remembered()
      let owner = UnnotifiedRegistry.owner
      _ = try await registry.database.revokeDevice(device.id, of: owner, change: registry.change)
      try await registry.devices.revokeDevice(device.id, owner: owner, change: registry.change)
      #expect(!registry.events.kinds.contains(.deviceRevoked))
      await #expect(throws: proof.refusal(after: .revocation)) { _ = try await device.session() }
    }
  }

  @Test(arguments: Proof.allCases)
  func `is not used once its client's deletion is repeated that another process made`(_ proof: Proof)
    async throws
  {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
      try await device.remembered()
      #expect(try await registry.database.deleteClient(UnnotifiedRegistry.owner, change: registry.change))
      await #expect(throws: RegistryError.clientNotFound) {
        try await registry.clients.deleteClient(UnnotifiedRegistry.owner, change: registry.change)
      }
      await #expect(throws: proof.refusal) { _ = try await device.session() }
    }
  }

  @Test(arguments: Proof.allCases)
  func `ends with the grace of a rotation that came later`(_ proof: Proof) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
      try await device.remembered()
      _ = try await registry.rotate(device.id, graceSeconds: 60)
      registry.advance(seconds: 59)
      _ = try await device.session()
      registry.advance(seconds: 1)
      await #expect(throws: proof.refusal) { _ = try await device.session() }
    }
  }

  @Test
  func `does not have a next secret any more that another rotation replaced`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let replaced = try await registry.rotate(device.id, graceSeconds: 60)
      try await device.remembered()
      _ = try await registry.session(of: device.id, signedWith: replaced)
      let next = try await registry.rotate(device.id, graceSeconds: 60)
      await #expect(throws: RegistryError.signatureInvalid) {
        _ = try await registry.session(of: device.id, signedWith: replaced)
      }
      _ = try await registry.session(of: device.id, signedWith: next)
    }
  }

  @Test
  func `does not keep out a device whose next secret another process put in force`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let next = try await registry.rotate(device.id, graceSeconds: 60)
      try await device.remembered()
      let session = try await registry.session(of: device.id, signedWith: next)
      let credentials = try #require(try await registry.database.credentials(of: device.id))
      let hmacKeyHash = try #require(credentials.next?.hmacKeyHash)
      #expect(
        try await registry.database.promoteNextSecret(
          of: device.id, owner: UnnotifiedRegistry.owner, hmacKeyHash: hmacKeyHash, change: registry.change))
      try await registry.authentication.admit(session)
      await #expect(throws: RegistryError.signatureInvalid) { _ = try await device.session() }
    }
  }

  @Test(arguments: [false, true])
  func `does not have the oldest token any more that a new one replaced, whether or not the answer was lost`(
    _ isAnswerLost: Bool
  ) async throws {
    try await UnnotifiedRegistry.with { registry in
      let registered = try await registry.newDevice()
      let oldest = try await ProvingDevice(registered, by: .token, in: registry)
      registry.advance(seconds: 1)
      let second = try await ProvingDevice(registered, by: .token, in: registry)
      for _ in 3...TokenService.maximumLive { _ = try await registry.token(of: oldest.id, for: oldest.secret) }
      registry.advance(seconds: Int64(TokenService.windowSeconds))
      try await oldest.remembered()
      if isAnswerLost {
        registry.store.interrupt(.insertToken) { () async throws(RegistryError) in
          throw .unavailable(cause: "the answer was lost")
        }
        await #expect(throws: RegistryError.unavailable(cause: "the answer was lost")) {
          _ = try await registry.token(of: oldest.id, for: oldest.secret)
        }
      } else {
        _ = try await registry.token(of: oldest.id, for: oldest.secret)
      }
      await #expect(throws: RegistryError.tokenInvalid) { _ = try await oldest.session() }
      _ = try await second.session()
    }
  }
}
