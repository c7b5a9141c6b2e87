import Registry
import Synchronization
import TestSupport
import Testing

/// When a silent device is offline, in the process that decides it.
@Suite struct DevicesThatAreSilent {
  /// A registry with a device that is online, whose watch is called each second of the test's clocks.
  private struct Watched {
    let registry: UnnotifiedRegistry
    let device: ProvingDevice
    let watch: OfflineWatch
    let decides: Deciding

    final class Deciding: Sendable {
      private let state = Atomic(true)
      var value: Bool {
        get { state.load(ordering: .relaxed) }
        set { state.store(newValue, ordering: .relaxed) }
      }
    }

    static func with(_ body: @escaping @Sendable (Watched) async throws -> Void) async throws {
      try await UnnotifiedRegistry.with { registry in
        let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
        let watched = Watched(registry, device)
        try await watched.poll()
        try await watched.pass(seconds: 1)
        #expect(watched.kinds == [.deviceOnline])
        try await body(watched)
      }
    }

    init(_ registry: UnnotifiedRegistry, _ device: ProvingDevice) {
      let decides = Deciding()
      (self.registry, self.device, self.decides) = (registry, device, decides)
      watch = Self.watch(registry) { decides.value }
    }

    /// As a process that starts has it.
    static func watch(
      _ registry: UnnotifiedRegistry, decides: @escaping @Sendable () -> Bool = { true }
    ) -> OfflineWatch {
      OfflineWatch(store: registry.database, live: registry.live, observer: registry.events, decides: decides)
    }

    func poll() async throws {
      _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1)
    }

    /// Lets time pass, in which presence is written each second, as the background work does.
    func pass(seconds: Int, watch: OfflineWatch? = nil, writes: Bool = true) async throws {
      for _ in 0..<seconds {
        registry.advance(seconds: 1)
        let now = registry.clock.now()
        if writes {
          try await registry.live.flushPresence(to: registry.database, observer: registry.events, at: now)
        }
        try await (watch ?? self.watch).record(at: now)
      }
    }

    var kinds: [RegistryEvent.Kind] {
      registry.events.kinds.filter { [.deviceOnline, .deviceOffline].contains($0) }
    }
  }

  @Test func `It is offline when it sent no request for the time, and online with its next one`() async throws {
    try await Watched.with { watched in
      try await watched.pass(seconds: 60)
      try await watched.poll()
      try await watched.pass(seconds: 89)
      #expect(watched.kinds == [.deviceOnline])
      try await watched.pass(seconds: 2)
      #expect(watched.kinds == [.deviceOnline, .deviceOffline])
      try await watched.poll()
      try await watched.pass(seconds: 1)
      #expect(watched.kinds == [.deviceOnline, .deviceOffline, .deviceOnline])
    }
  }

  @Test func `After a start, devices have the whole time again`() async throws {
    try await Watched.with { watched in
      watched.registry.advance(seconds: 3600)
      let restarted = Watched.watch(watched.registry)
      try await watched.pass(seconds: 90, watch: restarted)
      #expect(watched.kinds == [.deviceOnline])
      try await watched.pass(seconds: 2, watch: restarted)
      #expect(watched.kinds == [.deviceOnline, .deviceOffline])
    }
  }

  @Test func `A device that comes back in that time never went offline`() async throws {
    try await Watched.with { watched in
      watched.registry.advance(seconds: 3600)
      let restarted = Watched.watch(watched.registry)
      try await watched.pass(seconds: 80, watch: restarted)
      try await watched.poll()
      try await watched.pass(seconds: 85, watch: restarted)
      #expect(watched.kinds == [.deviceOnline])
    }
  }

  @Test func `A process that begins to decide, because another one ended, gives devices the whole time`()
    async throws
  {
    try await Watched.with { watched in
      watched.decides.value = false
      try await watched.pass(seconds: 300)
      #expect(watched.kinds == [.deviceOnline])
      watched.decides.value = true
      try await watched.pass(seconds: 90)
      #expect(watched.kinds == [.deviceOnline])
      try await watched.pass(seconds: 2)
      #expect(watched.kinds == [.deviceOnline, .deviceOffline])
    }
  }

  @Test func `So it is after the process stood still, its clock was moved, or presence was not written`()
    async throws
  {
    for outage in 0..<3 {
      try await Watched.with { watched in
        try await watched.pass(seconds: 60)
        switch outage {
        case 0: watched.registry.advance(seconds: 120)
        case 1: watched.registry.clock.advance(milliseconds: 3_600_000)
        default:
          try await watched.poll()
          try await watched.pass(seconds: 60, writes: false)
        }
        try await watched.pass(seconds: 89)
        #expect(watched.kinds == [.deviceOnline], "\(outage)")
        try await watched.pass(seconds: 65)
        #expect(watched.kinds == [.deviceOnline, .deviceOffline], "\(outage)")
      }
    }
  }

  @Test func `An error of the database is an outage`() async throws {
    try await Watched.with { watched in
      let registry = watched.registry
      let broken = OfflineWatch(
        store: UnreachableStore(), live: registry.live, observer: registry.events, decides: { true })
      try await watched.pass(seconds: 90, watch: broken)
      for _ in 0..<2 {
        await #expect(throws: RegistryError.self) { try await watched.pass(seconds: 1, watch: broken) }
        try await watched.pass(seconds: 90, watch: broken)
      }
      #expect(watched.kinds == [.deviceOnline])
    }
  }

  private struct UnreachableStore: UnusableStore {
    let error = RegistryError.unavailable(cause: "no route")
  }
}

/// What devices do is counted.
@Suite struct Counting {
  @Test func `Polls, hand-outs and acknowledgements count in the hour in which they happen`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let hour = StatisticsStep.hour.start(of: registry.clock.now())
      let signal = try await registry.send(to: .all)
      registry.advance(seconds: 3)
      for _ in 0..<3 { _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1) }
      registry.advance(seconds: 3600)
      _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1)
      let acknowledgement = Acknowledgement(
        signalID: signal, status: .failed, brokerTicket: nil, error: nil)
      for _ in 0..<2 { _ = try await registry.signals.acknowledge(device.session(), [acknowledgement]) }
      try await registry.live.flushHandOuts(to: registry.database)
      try await registry.live.flushPresence(to: registry.database, at: registry.clock.now())
      let stored = try await registry.database.statistics(
        of: UnnotifiedRegistry.owner, devices: [device.id], from: hour, to: hour + 7_200_000, step: .hour,
        isByDevice: false)
      #expect(stored.map(\.from) == [hour, hour + 3_600_000])
      #expect(stored.map(\.counts.polls) == [3, 1] && stored.map(\.counts.signals) == [1, 0])
      #expect(stored.map(\.counts.failed) == [0, 1] && stored.map(\.counts.placed) == [0, 0])
      #expect(stored.map(\.counts.handedOut.maximum) == [3000, nil])
      #expect(stored.map(\.counts.acknowledged.maximum) == [nil, 3_603_000])
    }
  }

  @Test func `What could not be written is added later`() async throws {
    try await UnnotifiedRegistry.with { registry in
      let device = try await ProvingDevice(registry.newDevice(), by: .signature, in: registry)
      let hour = StatisticsStep.hour.start(of: registry.clock.now())
      let unreachable = UnreachableStore()
      for _ in 0..<3 {
        _ = try await registry.signals.poll(device.session(), waitSeconds: 0, limit: 1)
        await #expect(throws: unreachable.error) {
          try await registry.live.flushPresence(to: unreachable, at: registry.clock.now())
        }
      }
      try await registry.live.flushPresence(to: registry.database, at: registry.clock.now())
      let stored = try await registry.database.statistics(
        of: UnnotifiedRegistry.owner, devices: [device.id], from: hour, to: hour + 3_600_000, step: .hour,
        isByDevice: true)
      #expect(stored.map(\.counts.polls) == [3])
    }
  }

  private struct UnreachableStore: UnusableStore {
    let error = RegistryError.unavailable(cause: "no route")
  }
}
