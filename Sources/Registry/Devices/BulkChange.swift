/// A change of many devices of one client, in one transaction. It decides what becomes of each device; a store reads and
/// locks the devices, and writes what changed.
public struct BulkChange: Sendable {
  public enum Action: Hashable, Sendable {
    case revoke
    /// Until a time, or without end.
    case suspend(until: Timestamp?)
    case resume
    /// The new name of each device. Devices may exchange names.
    case rename([DeviceID: DeviceName])
    /// Merges labels; nil removes one (RFC 7396).
    case setLabels([String: String?])
    case addToGroup(GroupName)
    case removeFromGroup(GroupName)
    /// From when on the devices are refused; nil for never.
    case setExpiry(Timestamp?)
    /// Also cancels the signals that wait for the devices, if asked.
    case setTradingMode(TradingMode.Mode, cancelsSignals: Bool)
  }

  /// What a store writes of a changed device.
  public enum Part: Hashable, Sendable {
    case state, mode, name, labels, groups
  }

  /// Why a device is left unchanged.
  public enum Refusal: Hashable, Sendable {
    case deviceNotFound, notOwner, deviceRevoked, deviceNameTaken, tooManyLabels, tooManyGroups
  }

  public let action: Action
  public let owner: ClientID
  /// Which devices; those of a `rename` are listed.
  public let selector: DeviceSelector
  /// The number of devices that the owner expects the selector to mean; nil for any.
  public let expected: Int?
  public let change: Change

  public init(_ action: Action, of owner: ClientID, _ selector: DeviceSelector, expected: Int?, change: Change)
  {
    self.action = action
    self.owner = owner
    self.selector = selector
    self.expected = expected
    self.change = change
  }

  /// Devices that one step reads and writes, so that no statement touches more.
  public static let devicesPerStep = 2000
  /// More changed devices are announced together, by their client.
  public static let maximumAnnounced = 1000

  public var part: Part {
    switch action {
    case .revoke, .suspend, .resume, .setExpiry: .state
    case .rename: .name
    case .setLabels: .labels
    case .addToGroup, .removeFromGroup: .groups
    case .setTradingMode: .mode
    }
  }

  public var kind: RegistryEvent.Kind {
    switch action {
    case .revoke: .deviceRevoked
    case .suspend: .deviceSuspended
    case .resume: .deviceResumed
    case .rename, .setLabels, .addToGroup, .removeFromGroup, .setExpiry: .deviceUpdated
    case .setTradingMode: .modeChanged
    }
  }

  /// Whether it goes before other work: it stops devices.
  public var isUrgent: Bool {
    switch action {
    case .revoke, .suspend, .setTradingMode: true
    case .resume, .rename, .setLabels, .addToGroup, .removeFromGroup, .setExpiry: false
    }
  }

  /// Whether it changes what is cached of a device.
  public var changesAccess: Bool { part == .state || part == .mode }

  public var cancelsSignals: Bool {
    if case .setTradingMode(_, cancelsSignals: true) = action { true } else { false }
  }

  /// The groups that must exist.
  public var groups: [GroupName] {
    var groups: [GroupName] = []
    if case .group(let name) = selector { groups.append(name) }
    switch action {
    case .addToGroup(let name), .removeFromGroup(let name): groups.append(name)
    default: break
    }
    return groups
  }

  /// The names that a rename gives.
  public var names: [DeviceName] {
    if case .rename(let names) = action { Array(Set(names.values)) } else { [] }
  }

  /// Throws `expectationFailed` if the owner expects another number.
  public func test(matched: Int) throws(RegistryError) {
    if let expected, expected != matched { throw .expectationFailed(matched: matched) }
  }
}

/// A device before and after a change, and what its event shows.
public struct ChangedDevice: Sendable {
  public let old: Device
  public let new: Device
  public let changes: EventChanges
}

/// What becomes of the devices of one step.
public struct BulkStep: Sendable {
  public fileprivate(set) var changed: [ChangedDevice] = []
  public fileprivate(set) var unchanged: [Device] = []
  public fileprivate(set) var refused: [RefusedDevice] = []

  /// Devices whose signals are cancelled with the change: those that were not refused.
  public var kept: [DeviceID] { changed.map(\.new.id) + unchanged.map(\.id) }
}

/// A device that was left unchanged, and why.
public struct RefusedDevice: Hashable, Sendable {
  public let id: DeviceID
  public let refusal: BulkChange.Refusal
}

/// What a bulk change did.
public struct BulkOutcome: Sendable {
  /// The ids of the devices that changed.
  public private(set) var changed: [DeviceID] = []
  public private(set) var unchanged = 0
  public private(set) var refused: [RefusedDevice] = []
  /// The devices for which signals were cancelled.
  public var withoutSignals: [DeviceID] = []

  public init() {}

  /// How many devices the selector meant.
  public var matched: Int { changed.count + unchanged + refused.count }

  public mutating func add(_ step: BulkStep) {
    changed += step.changed.map(\.new.id)
    unchanged += step.unchanged.count
    refused += step.refused
  }
}

// MARK: The rules

extension BulkChange {
  /// Decides what becomes of devices.
  ///
  /// - Parameters:
  ///   - ids: the devices of this step.
  ///   - found: those that exist, of any client.
  ///   - holders: the devices of the client, not revoked, that have names which a rename gives.
  public func judge(_ ids: [DeviceID], _ found: [Device], holders: [DeviceName: DeviceID] = [:]) -> BulkStep {
    let devices = Dictionary(found.map { ($0.id, $0) }) { first, _ in first }
    var step = BulkStep()
    var candidates: [Device] = []
    for id in ids {
      switch candidate(id, devices[id]) {
      case .success(let device?): candidates.append(device)
      // It no longer has what was selected.
      case .success(nil): break
      case .failure(let refusal): step.refused.append(RefusedDevice(id: id, refusal: refusal.refusal))
      }
    }
    if case .rename(let names) = action {
      judge(names, of: candidates, holders, &step)
    } else {
      for device in candidates { judge(device, &step) }
    }
    return step
  }

  private struct Refused: Error { let refusal: Refusal }

  private func candidate(_ id: DeviceID, _ device: Device?) -> Result<Device?, Refused> {
    if case .devices = selector {
      guard let device else { return .failure(Refused(refusal: .deviceNotFound)) }
      guard device.clientID == owner else { return .failure(Refused(refusal: .notOwner)) }
      if device.isRevoked, action != .revoke { return .failure(Refused(refusal: .deviceRevoked)) }
      return .success(device)
    }
    guard let device, device.clientID == owner, selector.matches(device) else { return .success(nil) }
    return .success(device)
  }

  private func judge(_ device: Device, _ step: inout BulkStep) {
    switch outcome(of: device) {
    case .success(let changed?): step.changed.append(changed)
    case .success(nil): step.unchanged.append(device)
    case .failure(let refused): step.refused.append(RefusedDevice(id: device.id, refusal: refused.refusal))
    }
  }

  /// Nil if the device is as the action wants it.
  private func outcome(of device: Device) -> Result<ChangedDevice?, Refused> {
    switch action {
    case .revoke: .success(device.revoked(by: change))
    case .suspend(let until): .success(device.suspended(until: until, by: change))
    case .resume: .success(device.resumed(by: change))
    case .setExpiry(let time): .success(device.expiring(at: time, by: change))
    case .setTradingMode(let mode, _): .success(device.trading(mode, by: change))
    case .setLabels(let labels): labelled(device, labels)
    case .addToGroup(let name): grouped(device, device.groups.changed(name, isMember: true))
    case .removeFromGroup(let name): grouped(device, device.groups.changed(name, isMember: false))
    case .rename: .success(nil)
    }
  }

  private func labelled(_ device: Device, _ patch: [String: String?]) -> Result<ChangedDevice?, Refused> {
    do throws(RegistryError) {
      return .success(device.labelled(try LabelPatch(patch).applied(to: device.labels), by: change))
    } catch {
      return .failure(Refused(refusal: .tooManyLabels))
    }
  }

  private func grouped(_ device: Device, _ groups: [GroupName]) -> Result<ChangedDevice?, Refused> {
    guard groups.count <= GroupName.maximumPerDevice || groups.count <= device.groups.count else {
      return .failure(Refused(refusal: .tooManyGroups))
    }
    return .success(device.grouped(groups, by: change))
  }

  /// A device gets its name unless another one keeps or gets it. One that keeps its name may keep another from getting it,
  /// so the test is repeated until it refuses no more: at most once for each device.
  private func judge(
    _ names: [DeviceID: DeviceName], of devices: [Device], _ holders: [DeviceName: DeviceID],
    _ step: inout BulkStep
  ) {
    var moving: [DeviceID: DeviceName] = [:]
    for device in devices {
      guard let name = names[device.id], name != device.deviceName else { continue }
      moving[device.id] = name
    }
    var winners: [DeviceName: DeviceID] = [:]
    for device in devices {
      guard let name = moving[device.id] else { continue }
      if winners[name] == nil { winners[name] = device.id } else { moving[device.id] = nil }
    }
    while true {
      let blocked = moving.filter { id, name in holders[name].map { moving[$0] == nil } ?? false }
      guard !blocked.isEmpty else { break }
      for id in blocked.keys { moving[id] = nil }
    }
    for device in devices {
      if let name = moving[device.id] {
        step.changed.append(device.named(name, by: change))
      } else if names[device.id] == device.deviceName {
        step.unchanged.append(device)
      } else {
        step.refused.append(RefusedDevice(id: device.id, refusal: .deviceNameTaken))
      }
    }
  }
}

// MARK: Changes of one device

/// Each returns nil if the device already is so.
extension Device {
  public func revoked(by change: Change) -> ChangedDevice? {
    guard !isRevoked else { return nil }
    return changed(
      by: change,
      state: DeviceState(
        isRevoked: true, suspension: state.suspension, expiresAt: state.expiresAt, reason: change.reason))
  }

  public func suspended(until: Timestamp?, by change: Change) -> ChangedDevice? {
    if let suspension = state.suspension, suspension.isInForce(at: change.time), suspension.until == until,
      change.reason == nil || change.reason == state.reason
    {
      return nil
    }
    return changed(
      by: change,
      state: DeviceState(
        isRevoked: false, suspension: .init(since: change.time, until: until), expiresAt: state.expiresAt,
        reason: change.reason))
  }

  public func resumed(by change: Change) -> ChangedDevice? {
    guard let suspension = state.suspension, suspension.isInForce(at: change.time) else { return nil }
    return changed(
      by: change,
      state: DeviceState(isRevoked: false, suspension: nil, expiresAt: state.expiresAt, reason: nil))
  }

  func expiring(at time: Timestamp?, by change: Change) -> ChangedDevice? {
    guard time != state.expiresAt else { return nil }
    return changed(
      by: change,
      state: DeviceState(
        isRevoked: state.isRevoked, suspension: state.suspension, expiresAt: time, reason: state.reason))
  }

  func trading(_ mode: TradingMode.Mode, by change: Change) -> ChangedDevice? {
    guard mode != tradingMode.mode else { return nil }
    return changed(
      by: change,
      tradingMode: TradingMode(
        mode: mode, version: tradingMode.version + 1, reason: change.reason, since: change.time,
        confirmedVersion: tradingMode.confirmedVersion, confirmedAt: tradingMode.confirmedAt))
  }

  func labelled(_ labels: Labels, by change: Change) -> ChangedDevice? {
    labels == self.labels ? nil : changed(by: change, labels: labels)
  }

  func grouped(_ groups: [GroupName], by change: Change) -> ChangedDevice? {
    groups == self.groups ? nil : changed(by: change, groups: groups)
  }

  func named(_ name: DeviceName, by change: Change) -> ChangedDevice { changed(by: change, deviceName: name) }

  private func changed(
    by change: Change, deviceName: DeviceName? = nil, labels: Labels? = nil, groups: [GroupName]? = nil,
    state: DeviceState? = nil, tradingMode: TradingMode? = nil
  ) -> ChangedDevice {
    let new = Device(
      id: id, clientID: clientID, deviceName: deviceName ?? self.deviceName, createdAt: createdAt,
      updatedAt: change.time, lastPoll: lastPoll, lastAck: lastAck, lastSeen: lastSeen,
      labels: labels ?? self.labels, groups: groups ?? self.groups, state: state ?? self.state,
      tradingMode: tradingMode ?? self.tradingMode, terminal: terminal)
    return ChangedDevice(old: self, new: new, changes: EventChanges(from: self, to: new, at: change.time))
  }
}

extension EventChanges {
  /// What an owner changed of a device, and what that changed of its status.
  init(from old: Device, to new: Device, at time: Timestamp) {
    self = [:]
    let (oldStatus, newStatus) = (old.state.status(at: time), new.state.status(at: time))
    if oldStatus != newStatus { add("status", from: .text(oldStatus.rawValue), to: .text(newStatus.rawValue)) }
    add(differencesOf: [
      ("suspended_until", .time(old.state.suspension?.until), .time(new.state.suspension?.until))
    ])
    if old.tradingMode.version != new.tradingMode.version {
      add("trading_mode", from: .text(old.tradingMode.mode.rawValue), to: .text(new.tradingMode.mode.rawValue))
      add(
        "version", from: .number(Int(old.tradingMode.version)), to: .number(Int(new.tradingMode.version)))
    }
    addSettings(from: old, to: new)
  }
}
