/// Records what ended by time: suspensions and devices, each end once, also with several processes. It decides nothing:
/// whether a device may be used follows from its state and the time of the request.
public struct TimedEnds: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let observer: any RegistryObserver

  /// Devices that one statement records.
  public static let rowsPerStatement = 500
  /// Pairs of statements in a row. The next call continues.
  static let maximumSteps = 200

  public init(store: any RegistryStore, live: LiveDevices, observer: any RegistryObserver) {
    self.store = store
    self.live = live
    self.observer = observer
  }

  public func record(at time: Timestamp) async throws(RegistryError) {
    let change = Change(by: .system, at: time)
    for _ in 0..<Self.maximumSteps {
      let expired = try await store.recordExpiries(maximumRows: Self.rowsPerStatement, change: change)
      for device in expired { note(device, .deviceExpired, change) }
      let resumed = try await store.recordResumptions(maximumRows: Self.rowsPerStatement, change: change)
      for device in resumed { note(device, .deviceResumed, change) }
      // While there are some, others may have waited for them.
      if expired.isEmpty, resumed.isEmpty { return }
    }
  }

  private func note(_ device: EndedDevice, _ kind: RegistryEvent.Kind, _ change: Change) {
    live.credentialsChanged(of: device.id)
    observer.changed(RegistryEvent(kind, by: change, of: device.clientID, device: device.id))
  }
}
