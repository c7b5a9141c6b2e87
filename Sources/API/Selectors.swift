internal import Endpoints
internal import Registry

/// The members of which a request has exactly one, to name devices.
enum SelectorMembers {
  static let devices = Member.optional(
    "device_ids", .array(of: .text(DeviceID.schema), 1...DeviceSelector.maximumListed),
    "These devices; repeated ids count once.")
  static let all = Member.optional("all", .onlyTrue, "All devices that are not revoked.")
  static let group = Member.optional(
    "group", Rule.groupName, "The devices in this group that are not revoked.")
  static let labels = Member.optional(
    "labels", Rule.labels, "The devices that have all of these labels and are not revoked.")

  static let names = ["device_ids", "all", "group", "labels"]

  static func selector(
    _ devices: [String]?, _ all: Bool?, _ group: GroupName?, _ labels: Labels?
  ) throws(Problem) -> DeviceSelector {
    switch (devices, all, group, labels) {
    case (let texts?, nil, nil, nil): return .devices(try ids(texts))
    case (nil, _?, nil, nil): return .all
    case (nil, nil, let group?, nil): return .group(group)
    case (nil, nil, nil, let labels?): return .labels(labels)
    case (nil, nil, nil, nil):
      throw .invalidValue(
        of: "device_ids", "is missing, and so are `all`, `group` and `labels`: one of them is needed")
    default:
      let given = [devices != nil, all != nil, group != nil, labels != nil]
      let surplus = zip(names, given).filter(\.1).map(\.0)
      throw .invalidValue(of: surplus[1], "must not be given beside `\(surplus[0])`")
    }
  }

  /// Removes repeated ids and keeps the order.
  private static func ids(_ texts: [String]) throws(Problem) -> [DeviceID] {
    var seen: Set<DeviceID> = []
    var ids: [DeviceID] = []
    for text in texts {
      // A malformed id cannot name a device.
      guard let id = DeviceID(text) else { throw Problem(.deviceNotFound) }
      if seen.insert(id).inserted { ids.append(id) }
    }
    return ids
  }
}

extension Rule<GroupName> {
  static let groupName = Rule.text(
    GroupName.schema, message: "must have 1 to 64 of the characters A-Z a-z 0-9 . _ -"
  ) { GroupName($0) }
}

extension Rule<Labels> {
  /// At least one label.
  static let labels = Rule<[(name: String, value: String)]>.labelMap(of: .labelValue).map(message: "") {
    pairs in
    Labels(Dictionary(uniqueKeysWithValues: pairs.map { ($0.name, $0.value) }))
  }
}

extension Rule<String> {
  static let labelValue = Rule.text(
    ["type": "string", "pattern": "^[A-Za-z0-9._-]{0,64}$"],
    message: "must have at most 64 of the characters A-Z a-z 0-9 . _ -"
  ) { Labels.isValue($0) ? $0 : nil }
}

extension Rule {
  /// Labels by key.
  static func labelMap<Element>(
    of element: Rule<Element>, _ count: ClosedRange<Int> = 1...Labels.maximumCount
  ) -> Rule where Value == [(name: String, value: Element)] {
    map(
      of: element, count, names: ["pattern": "^[A-Za-z0-9._/-]{1,64}$"],
      message: "must have 1 to 64 of the characters A-Z a-z 0-9 . _ / -", isName: Labels.isKey)
  }
}
