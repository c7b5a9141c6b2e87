/// Changes of many devices. Each event loop has one, with the loop's own store.
public struct BulkService: Sendable {
  private let store: any RegistryStore
  private let live: LiveDevices
  private let observer: any RegistryObserver
  private let limits: RateLimits

  init(
    store: any RegistryStore, live: LiveDevices, observer: any RegistryObserver, limits: RateLimits
  ) {
    self.store = store
    self.live = live
    self.observer = observer
    self.limits = limits
  }

  /// Changes the devices in one transaction, for which the client is charged. Throws `groupNotFound`, and
  /// `expectationFailed` if the selector means another number of devices than expected; then nothing happened.
  public func change(_ bulk: BulkChange) async throws(RegistryError) -> BulkOutcome {
    let ids = try await selected(by: bulk)
    let outcome: BulkOutcome
    do throws(RegistryError) {
      outcome = try await store.changeDevices(ids, by: bulk, step: BulkChange.devicesPerStep)
    } catch {
      // The database may have committed the change.
      if case .unavailable = error { announce(ids, bulk) }
      throw error
    }
    announce(Array(Set(outcome.changed + outcome.withoutSignals)), bulk)
    for id in outcome.changed {
      observer.changed(RegistryEvent(bulk.kind, by: bulk.change, of: bulk.owner, device: id))
    }
    return outcome
  }

  /// What `change` would do now. Throws the same errors, and changes nothing.
  public func preview(_ bulk: BulkChange) async throws(RegistryError) -> BulkOutcome {
    let ids = try await selected(by: bulk)
    for group in bulk.groups where try await !store.hasGroup(group, of: bulk.owner) { throw .groupNotFound }
    let holders = bulk.names.isEmpty ? [:] : try await store.devices(named: bulk.names, of: bulk.owner)
    var outcome = BulkOutcome()
    for step in ids.steps(of: BulkChange.devicesPerStep) {
      outcome.add(bulk.judge(step, try await store.devices(step), holders: holders))
    }
    try bulk.test(matched: outcome.matched)
    return outcome
  }

  /// The devices, by id: in this order they are locked.
  private func selected(by bulk: BulkChange) async throws(RegistryError) -> [DeviceID] {
    var ids: [DeviceID] = []
    if case .devices(let listed) = bulk.selector {
      ids = listed.sorted()
    } else {
      // The client's devices bound the number of pages.
      while true {
        let page = try await store.selectedDevices(
          bulk.selector, of: bulk.owner, after: ids.last, limit: BulkChange.devicesPerStep)
        ids += page
        if page.count < BulkChange.devicesPerStep { break }
      }
    }
    limits.charge(bulk.owner, cost: RequestCost.bulk(devices: ids.count))
    try bulk.test(matched: ids.count)
    return ids
  }

  private func announce(_ ids: [DeviceID], _ bulk: BulkChange) {
    guard bulk.changesAccess else { return }
    if ids.count > BulkChange.maximumAnnounced {
      live.clientChanged(bulk.owner)
    } else {
      live.credentialsChanged(of: ids)
    }
  }
}

extension Array {
  /// Its elements, `size` at a time.
  public func steps(of size: Int) -> [[Element]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
  }
}
