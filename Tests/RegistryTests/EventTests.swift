import Registry
import Synchronization
import Testing

/// Records the events of the services.
final class RecordedEvents: RegistryObserver {
  private let events = Mutex<[RegistryEvent]>([])
  private let unknown = Mutex(0)

  func changed(_ event: RegistryEvent) { events.withLock { $0.append(event) } }
  func unknownSignalsAcknowledged(_ count: Int) { unknown.withLock { $0 += count } }

  var all: [RegistryEvent] { events.withLock(\.self) }
  var kinds: [RegistryEvent.Kind] { all.map(\.kind) }
  var unknownSignals: Int { unknown.withLock(\.self) }
}

@Suite("Events") struct EventTests {
  private let owner = UnnotifiedRegistry.owner

  @Test
  func `Each change of a client, a device and a signal is one event with its actor and request`() async throws {
    try await UnnotifiedRegistry.with { [owner] registry in
      let id = try await registry.newDevice().device.id
      _ = try await registry.devices.updateDevice(
        id, owner: owner, DeviceUpdate(deviceName: DeviceName("new")), change: registry.change)
      _ = try await registry.rotate(id, graceSeconds: 60)
      let signal = try await registry.send(to: .all)
      try await registry.devices.revokeDevice(id, owner: owner, change: registry.change)
      try await registry.clients.deleteClient(owner, change: registry.change)
      let expected: [RegistryEvent.Kind] = [
        .clientCreated, .deviceRegistered, .deviceUpdated, .secretRotated, .signalCreated, .deviceRevoked,
        .clientDeleted,
      ]
      let events = registry.events.all
      #expect(events.map(\.kind) == expected)
      #expect(events.map(\.deviceID) == [nil, id, id, id, nil, id, nil])
      #expect(events.map(\.signalID) == [nil, nil, nil, nil, signal, nil, nil])
      #expect(events.allSatisfy { $0.clientID == owner && $0.change == registry.change && $0.status == nil })
    }
  }

  @Test
  func `A device that uses its next secret makes one event, by a signature and by a token request alike`()
    async throws
  {
    try await UnnotifiedRegistry.with { registry in
      for usesToken in [false, true] {
        let id = try await registry.newDevice("EA \(usesToken)").device.id
        let next = try await registry.rotate(id, graceSeconds: 60)
        for _ in 0..<2 {
          if usesToken {
            _ = try await registry.token(of: id, for: next)
          } else {
            try await registry.authentication.admit(registry.session(of: id, signedWith: next))
          }
        }
        let event = try #require(registry.events.all.last)
        #expect(
          event.kind == .secretPromoted && event.deviceID == id && event.clientID == UnnotifiedRegistry.owner)
        #expect(event.change.actor == .device(id) && event.change.requestID == "device's request")
        #expect(registry.events.all.count { $0.kind == .secretPromoted && $0.deviceID == id } == 1)
      }
    }
  }

  @Test
  func `The first acknowledgement of a signal is an event; a repeated or unknown one is not`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let registered = try await registry.newDevice()
      let (id, secret) = (registered.device.id, registered.secret)
      let signals = [try await registry.send(to: .all), try await registry.send(to: .all)]
      func acknowledge(_ status: Acknowledgement.Status, _ ids: [SignalID]) async throws {
        let session = try await registry.session(of: id, signedWith: secret)
        _ = try await registry.signals.acknowledge(
          session, ids.map { Acknowledgement(signalID: $0, status: status, brokerTicket: nil, error: nil) })
      }
      try await acknowledge(.placed, [signals[0]])
      try await acknowledge(.failed, [signals[0], SignalID(high: 1, low: 2), signals[1]])
      let events = registry.events.all.filter { $0.kind == .signalAcknowledged }
      #expect(events.map(\.signalID) == signals && events.map(\.status) == [.placed, .failed])
      #expect(events.allSatisfy { $0.deviceID == id && $0.change.actor == .device(id) })
      #expect(registry.events.unknownSignals == 1)
    }
  }

  @Test
  func `What changes nothing is no event`() async throws {
    try await UnnotifiedRegistry.with { [owner] registry in
      let id = try await registry.newDevice().device.id
      try await registry.devices.revokeDevice(id, owner: owner, change: registry.change)
      let before = registry.events.all.count
      try await registry.devices.revokeDevice(id, owner: owner, change: registry.change)
      for attempt in [
        {
          _ = try await registry.devices.updateDevice(
            id, owner: owner, DeviceUpdate(deviceName: DeviceName("x")), change: registry.change)
        },
        { _ = try await registry.rotate(id, graceSeconds: 0) },
        { try await registry.clients.deleteClient(ClientID("bob")!, change: registry.change) },
        {
          _ = try await registry.clients.createClient(
            id: owner, email: nil, telegramID: nil, change: registry.change)
        },
      ] as [@Sendable () async throws -> Void] {
        await #expect(throws: RegistryError.self) { try await attempt() }
      }
      #expect(registry.events.all.count == before)
    }
  }
}
