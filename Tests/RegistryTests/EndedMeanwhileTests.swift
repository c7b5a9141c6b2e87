import Registry
import TestSupport
import Testing

@Suite("A secret that ends while a request is answered", .timeLimit(.minutes(1))) struct EndedMeanwhileTests {
  @Test(arguments: SecretEnd.allCases)
  func `gets no token`(_ end: SecretEnd) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let endSecret = try await end.prepared(for: device)
      registry.live.changesMissed()
      registry.store.interrupt(.credentials, endSecret)
      await #expect(throws: Proof.signature.refusal(after: end)) {
        _ = try await registry.token(of: device.id, for: device.secret)
      }
    }
  }

  /// What ends a next secret that was not used yet.
  enum NextSecretEnd: CaseIterable {
    case revocation, rotation, clientDeletion

    /// The error of the request.
    var refusal: RegistryError { self == .revocation ? .refused(.revoked(reason: nil)) : .signatureInvalid }

    func happen(to id: DeviceID, in registry: UnnotifiedRegistry) async throws(RegistryError) {
      switch self {
      case .revocation:
        _ = try await registry.devices.revokeDevice(
          id, owner: UnnotifiedRegistry.owner, change: registry.change)
      case .rotation: _ = try await registry.rotate(id, graceSeconds: 60)
      case .clientDeletion:
        try await registry.clients.deleteClient(UnnotifiedRegistry.owner, change: registry.change)
      }
    }
  }

  @Test(arguments: NextSecretEnd.allCases)
  func `is not put in force`(_ end: NextSecretEnd) async throws {
    try await UnnotifiedRegistry.with { registry in
      let id = try await registry.newDevice().device.id
      let next = try await registry.rotate(id, graceSeconds: 60)
      let session = try await registry.session(of: id, signedWith: next)
      try await end.happen(to: id, in: registry)
      await #expect(throws: end.refusal) { try await registry.authentication.admit(session) }
    }
  }

  @Test(arguments: NextSecretEnd.allCases)
  func `is not put in force by a request for a token, which gets none`(_ end: NextSecretEnd) async throws {
    try await UnnotifiedRegistry.with { registry in
      let id = try await registry.newDevice().device.id
      let next = try await registry.rotate(id, graceSeconds: 60)
      registry.live.changesMissed()
      registry.store.interrupt(.credentials) { () async throws(RegistryError) in
        try await end.happen(to: id, in: registry)
      }
      await #expect(throws: end.refusal) { _ = try await registry.token(of: id, for: next) }
    }
  }
}
