internal import Endpoints
internal import HTTP
internal import Registry

// The owner's operations on groups.

extension API {
  /// Throws `clientNotFound`, `tooManyGroups`.
  func putGroup(
    _ owner: Owner, _ input: PathAndBody<GroupPath, GroupDescription>
  ) async throws(RegistryError) -> Put<ShownGroup> {
    let put = try await services.groups.putGroup(
      input.path.id, of: owner.clientID, description: input.body.description, change: owner.change)
    return Put(
      value: ShownGroup(group: put.group), location: "/api/v1/groups/\(input.path.id)", isCreated: put.isCreated
    )
  }

  func listGroups(
    _ owner: Owner, _ input: PageInput<GroupName>
  ) async throws(RegistryError) -> Listing<ShownGroup> {
    let page = try await services.groups.listGroups(
      of: owner.clientID, limit: input.limit ?? GroupService.maximumPage, after: input.cursor)
    return Listing(elements: page.elements.map { ShownGroup(group: $0) }, next: page.next.map(input.link))
  }

  /// Throws `groupNotFound`.
  func getGroup(_ owner: Owner, _ input: GroupPath) async throws(RegistryError) -> OK<ShownGroup> {
    OK(value: ShownGroup(group: try await services.groups.getGroup(input.id, of: owner.clientID)))
  }

  /// Throws `groupNotFound`.
  func deleteGroup(_ owner: Owner, _ input: GroupPath) async throws(RegistryError) -> NoContent {
    try await services.groups.deleteGroup(input.id, of: owner.clientID, change: owner.change)
    return NoContent()
  }

  /// Throws `groupNotFound`, `deviceNotFound`, `notOwner`, `deviceRevoked`, `tooManyGroupsOfDevice`.
  func addToGroup(_ owner: Owner, _ input: MembershipPath) async throws(RegistryError) -> NoContent {
    try await services.groups.setMembership(
      of: input.device, owner: owner.clientID, in: input.group, isMember: true, change: owner.change)
    return NoContent()
  }

  /// Throws `groupNotFound`, `deviceNotFound`, `notOwner`.
  func removeFromGroup(_ owner: Owner, _ input: MembershipPath) async throws(RegistryError) -> NoContent {
    try await services.groups.setMembership(
      of: input.device, owner: owner.clientID, in: input.group, isMember: false, change: owner.change)
    return NoContent()
  }
}

/// The body that creates or describes a group.
struct GroupDescription: JSONInput {
  let description: String?

  static let body = JSONBody(
    "GroupInput", isOptional: true,
    .object(
      .optional(
        "description", .text(atMost: Group.maximumDescriptionLength), "Absent or null for a group without one.")
    ) { GroupDescription(description: $0) })
}

/// The path of a group.
struct GroupPath: PathInput {
  let id: GroupName

  static let parameter = PathParameter(
    GroupName.schema, "The group's name.", named: "name", notFound: Problem(.groupNotFound)
  ) { GroupName($0) }
}

/// The path of a device in a group.
struct MembershipPath: Input {
  let group: GroupName
  let device: DeviceID

  private static let device = PathParameter(
    DeviceID.schema, "The device's id.", at: 1, notFound: Problem(.deviceNotFound)
  ) { DeviceID($0) }

  static let description = InputDescription(
    parameters: [GroupPath.parameter.description, device.description])

  init(of call: Call) throws(Problem) {
    group = try call.value(of: GroupPath.parameter)
    device = try call.value(of: Self.device)
  }
}

extension GroupName: PageCursor {
  static let page = PageParameters<GroupName>(withoutLimit: "default \(GroupService.maximumPage)")

  var bytes: [UInt8] { Array(text.utf8) }

  init?(bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    self.init(text)
  }
}

/// A group in answers.
struct ShownGroup: JSONObject {
  let group: Group

  static let name: String? = "DeviceGroup"

  static func describe(_ members: inout some Members<Self>) {
    members.add("name") { $0.group.name }
    members.add("description") { $0.group.description }
    members.add("devices", ["minimum": 0, "description": "How many devices are in it, revoked ones included."])
    {
      Int64($0.group.devices)
    }
    members.add("created_at") { $0.group.createdAt }
    members.add("updated_at", ["description": "When its description last changed."]) { $0.group.updatedAt }
  }
}
