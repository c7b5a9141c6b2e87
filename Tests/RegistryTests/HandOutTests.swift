import Registry
import TestSupport
import Testing

/// When signals were handed out is gathered, and written apart from polls.
@Suite struct HandOuts {
  @Test func `Only the first poll that returns a signal counts, and a poll writes nothing`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let signal = try await registry.send(to: .all)
      let first = registry.clock.now()
      for _ in 0..<2 {
        #expect(try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1).signals.count == 1)
        registry.advance(seconds: 1)
      }
      #expect(registry.live.pendingHandOuts == 1)
      #expect(try await registry.handedOutAt(signal) == [nil])
      try await registry.live.flushHandOuts(to: registry.database)
      #expect(try await registry.handedOutAt(signal) == [first])
      _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1)
      #expect(registry.live.pendingHandOuts == 0)
    }
  }

  @Test func `What could not be written is written later, with its time`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let signal = try await registry.send(to: .all)
      let first = registry.clock.now()
      _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1)
      let unreachable = UnreachableStore()
      await #expect(throws: unreachable.error) { try await registry.live.flushHandOuts(to: unreachable) }
      registry.advance(seconds: 1)
      _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1)
      try await registry.live.flushHandOuts(to: registry.database)
      #expect(try await registry.handedOutAt(signal) == [first])
    }
  }

  private struct UnreachableStore: UnusableStore {
    let error = RegistryError.unavailable(cause: "no route")
  }
}

extension UnnotifiedRegistry {
  fileprivate func handedOutAt(_ signal: SignalID) async throws -> [Timestamp?] {
    try await database.deliveries(of: signal, after: nil, limit: 10).map(\.handedOutAt)
  }
}
