/// The operations on groups. Each event loop has one, with the loop's own store.
public struct GroupService: Sendable {
  private let store: any RegistryStore
  private let observer: any RegistryObserver
  private let limits: RateLimits

  init(store: any RegistryStore, observer: any RegistryObserver, limits: RateLimits) {
    self.store = store
    self.observer = observer
    self.limits = limits
  }

  /// The largest page of groups, and the page size when the caller gives no limit.
  public static let maximumPage = 1000
  /// Devices that one statement counts.
  static let devicesPerCount = 50_000
  /// Devices that one statement takes out of a deleted group.
  public static let devicesPerStep = 1000
  /// Steps that one request takes: enough for the devices of the largest client.
  private static let maximumSteps = 2000

  /// Creates a group, or changes its description. Throws `clientNotFound`, `tooManyGroups`.
  public func putGroup(
    _ name: GroupName, of client: ClientID, description: String?, change: Change
  ) async throws(RegistryError) -> (group: Group, isCreated: Bool) {
    for _ in 0..<Self.maximumSteps {
      switch try await store.putGroup(name, of: client, description: description, change: change) {
      case .created(let group):
        observer.changed(RegistryEvent(.groupCreated, by: change, of: client))
        return (group, true)
      case .changed(let group):
        observer.changed(RegistryEvent(.groupUpdated, by: change, of: client))
        return (group, false)
      case .unchanged(let group): return (group, false)
      case .isBusy: _ = try await store.clearDeletedGroups(of: client, maximumRows: Self.devicesPerStep)
      }
    }
    throw .overloaded(queue: "steps that delete the group")
  }

  /// The client's groups by name, `limit` at a time. A page ends early after groups with many devices.
  public func listGroups(
    of client: ClientID, limit: Int = maximumPage, after cursor: GroupName? = nil
  ) async throws(RegistryError) -> Page<Group, GroupName> {
    let groups = try await store.groups(
      of: client, after: cursor, limit: limit + 1, maximumDevices: Self.devicesPerCount)
    let counted = groups.reduce(0) { $0 + $1.devices }
    limits.charge(client, cost: RequestCost.scan(rows: counted))
    return Page(groups, limit: limit, isCut: counted >= Self.devicesPerCount) { $0.name }
  }

  /// Throws `groupNotFound`.
  public func getGroup(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Group {
    guard let group = try await store.group(name, of: client) else { throw .groupNotFound }
    return group
  }

  /// Deletes a group. Its devices stay. Throws `groupNotFound`.
  public func deleteGroup(_ name: GroupName, of client: ClientID, change: Change) async throws(RegistryError) {
    guard try await store.deleteGroup(name, of: client, change: change) else { throw .groupNotFound }
    observer.changed(RegistryEvent(.groupDeleted, by: change, of: client))
    // Nobody sees the group any more. If this fails, the background work takes its devices out of it.
    for _ in 0..<Self.maximumSteps {
      guard let step = try? await store.clearDeletedGroups(of: client, maximumRows: Self.devicesPerStep),
        step.isFound
      else { return }
      limits.charge(client, cost: RequestCost.written(rows: step.rows))
    }
  }

  /// Puts a device into a group, or takes it out of it. Throws `deviceNotFound`, `notOwner`, `deviceRevoked`,
  /// `groupNotFound`, `tooManyGroupsOfDevice`.
  public func setMembership(
    of id: DeviceID, owner: ClientID, in group: GroupName, isMember: Bool, change: Change
  ) async throws(RegistryError) {
    let outcome = try await store.setMembership(
      of: id, owner: owner, in: group, isMember: isMember, change: change)
    if outcome == .changed {
      observer.changed(RegistryEvent(.deviceUpdated, by: change, of: owner, device: id))
    }
  }
}
