import Registry
import TestSupport
import Testing

@Suite("A poll, without notifications", .timeLimit(.minutes(1))) struct UnnotifiedPollTests {
  @Test(
    arguments: SecretEnd.allCases,
    Proof.allCases)
  func `hands out no signals where the secret ended while they were fetched`(_ end: SecretEnd, _ proof: Proof)
    async throws
  {
    for waitSeconds in [0, 30] {
      try await UnnotifiedRegistry.with { registry in
        let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
        let endSecret = try await end.prepared(for: device)
        let session = try await device.remembered()
        _ = try await registry.send(to: .all)
        registry.store.interrupt(.pendingSignals, endSecret)
        await #expect(throws: proof.refusal(after: end)) {
          _ = try await registry.signals.poll(session, waitSeconds: waitSeconds, limit: 1)
        }
      }
    }
  }

  @Test(arguments: SecretEnd.allCases, Proof.allCases)
  func `ends at once when its secret ends`(_ end: SecretEnd, _ proof: Proof) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: proof, in: registry)
      let endSecret = try await end.prepared(for: device)
      let session = try await device.remembered()
      async let polled = registry.poll(session)
      try await registry.untilParked(1)
      try await endSecret()
      registry.endPollsThatWait()
      let outcome = await polled
      #expect(outcome == .failure(proof.refusal(after: end)))
    }
  }

  /// Whom a signal is sent to.
  enum Addressing: CaseIterable {
    case device, all

    func addressees(_ id: DeviceID) -> DeviceSelector { self == .device ? .devices([id]) : .all }
  }

  @Test(arguments: Addressing.allCases)
  func `of a device that was idle is answered with the next signal`(_ addressing: Addressing) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let session = try await device.remembered()
      #expect(try await registry.signals.poll(session, waitSeconds: 0, limit: 1).signals.isEmpty)
      let signal = try await registry.send(to: addressing.addressees(device.id))
      #expect(try await registry.signals.poll(session, waitSeconds: 0, limit: 1).signals.map(\.id) == [signal])
    }
  }

  @Test(arguments: Addressing.allCases)
  func `does not miss a signal that came while the database found none`(_ addressing: Addressing) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let session = try await device.remembered()
      registry.store.interrupt(.pendingSignals) { () async throws(RegistryError) in
        _ = try await registry.send(to: addressing.addressees(device.id))
      }
      #expect(try await registry.signals.poll(session, waitSeconds: 0, limit: 1).signals.isEmpty)
      #expect(try await registry.signals.poll(session, waitSeconds: 0, limit: 1).signals.count == 1)
    }
  }

  @Test(arguments: Addressing.allCases)
  func `that waits is answered with the signal that is sent`(_ addressing: Addressing) async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let session = try await device.remembered()
      async let polled = registry.poll(session)
      try await registry.untilParked(1)
      let signal = try await registry.send(to: addressing.addressees(device.id))
      registry.endPollsThatWait()
      let outcome = await polled
      #expect(outcome == .success([signal]))
    }
  }
}

extension UnnotifiedRegistry {
  /// Polls, and waits where there are no signals.
  fileprivate func poll(_ session: DeviceSession) async -> Result<[SignalID], RegistryError> {
    do throws(RegistryError) {
      return .success(try await signals.poll(session, waitSeconds: 30, limit: 1).signals.map(\.id))
    } catch {
      return .failure(error)
    }
  }

  /// Waits until that many polls have a seat. Later changes wake them.
  fileprivate func untilParked(_ count: Int) async throws {
    try await wait { live.parked.count == count }
  }

  /// Ends the polls that still wait, without signals; a poll that was woken before continues.
  fileprivate func endPollsThatWait() { live.parked.close() }
}
