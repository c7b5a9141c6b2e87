internal import Endpoints
internal import Registry

/// The rules of what owners set on devices.
enum DeviceRules {
  static let labels = Rule<[(name: String, value: String)]>.labelMap(of: .labelValue, 0...Labels.maximumCount)
    .map(message: "") { pairs in
      Labels(Dictionary(uniqueKeysWithValues: pairs.map { ($0.name, $0.value) }))
    }

  /// A merge patch (RFC 7396). It may remove as many labels as it adds.
  static let labelPatch = Rule<[(name: String, value: String?)]>.labelMap(
    of: Rule.labelValue.orNull, 0...2 * Labels.maximumCount
  ).map(message: "") { pairs in
    LabelPatch(Dictionary(uniqueKeysWithValues: pairs.map { ($0.name, $0.value) }))
  }

  /// Each once.
  static let groups = Rule<[GroupName]>.array(of: .groupName, 0...GroupName.maximumPerDevice)
    .map(message: "must name each group once") { (names: [GroupName]) in
      Set(names).count == names.count ? names.sorted() : nil
    }
}
