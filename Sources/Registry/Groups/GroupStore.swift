/// Stores groups.
///
/// A device's groups are a column of its row (`Device.groups`), from which the database derives the index of groups. A group
/// that is deleted is not shown any more at once, with all of its devices; they leave it in steps.
///
/// Each statement that puts devices into a group locks the group's row `FOR SHARE` and tests that it is not deleted, so that
/// no device joins a group that is being deleted.
public protocol GroupStore: Sendable {
  /// Creates a group, or changes the description of the one that is there. Throws `clientNotFound`, `tooManyGroups`.
  func putGroup(
    _ name: GroupName, of client: ClientID, description: String?, change: Change
  ) async throws(RegistryError) -> PutGroup

  /// At most `limit` groups of the client after `cursor`, by name. The number of their devices is counted from the index:
  /// after the group with which the sum reaches `maximumDevices`, the page ends.
  func groups(
    of client: ClientID, after cursor: GroupName?, limit: Int, maximumDevices: Int
  ) async throws(RegistryError) -> [Group]

  func group(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Group?

  /// Deletes the group for all readers, without its devices. Returns false if there is no such group.
  func deleteGroup(
    _ name: GroupName, of client: ClientID, change: Change
  ) async throws(RegistryError) -> Bool

  /// Takes devices out of deleted groups, and removes a group after its last one. Returns how many devices left, at most
  /// `maximumRows`, and whether a group was found.
  ///
  /// - Parameter client: nil for all clients.
  func clearDeletedGroups(
    of client: ClientID?, maximumRows: Int
  ) async throws(RegistryError) -> (rows: Int, isFound: Bool)

  /// Puts the device into the group, or takes it out. Only devices that are not revoked can join. Throws
  /// `deviceNotFound`, `notOwner`, `deviceRevoked`, `groupNotFound`, `tooManyGroupsOfDevice`.
  func setMembership(
    of id: DeviceID, owner: ClientID, in group: GroupName, isMember: Bool, change: Change
  ) async throws(RegistryError) -> MembershipOutcome
}

/// The result of `putGroup`.
public enum PutGroup: Hashable, Sendable {
  case created(Group)
  case changed(Group)
  case unchanged(Group)
  /// A deleted group of this name still has devices, or another request creates the group. Nothing was done.
  case isBusy
}

/// The result of `setMembership`.
public enum MembershipOutcome: Hashable, Sendable {
  case changed, unchanged
}
