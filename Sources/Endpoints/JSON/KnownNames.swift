internal import Encoding
internal import FoundationEssentials
internal import HTTP
internal import JSON

/// The query parameters that a route declares. Derived once from the route's `InputDescription`.
struct KnownNames: Sendable {
  /// Nil if the route ignores unknown parameters, as OAuth requires (RFC 6749, section 3.2).
  let query: NameList?

  init(_ input: InputDescription) {
    query =
      input.body == nil || input.isJSON
      ? NameList(input.parameters.filter { $0.place == .query }.map(\.name)) : nil
  }

  /// Tests that every query parameter is declared and not repeated. Valid parameters cost no allocation, unless their
  /// names are percent-encoded.
  func test(query text: Substring?) throws(Problem) {
    guard let names = query, let text else { return }
    var given = GivenNames()
    for (name, _) in QueryParameters(text) {
      let index = names.names.firstIndex { QueryParameters.isName(name, $0) }
      guard let fault = given.note(index) else { continue }
      let name = PercentEncoding.decode(Substring(name)) ?? String(Substring(name))
      throw .invalidValue(
        of: NameList.shown(name), fault.message(for: name, among: names, of: "query parameter"))
    }
  }
}

/// The declared names of a query or an object.
package struct NameList: Sendable {
  let names: [String]

  /// Names of a list: `GivenNames` has one bit for each.
  static let maximumCount = 64
  /// Characters of an unknown name that an answer repeats.
  private static let maximumShownLength = 64

  package init(_ names: [String]) {
    precondition(names.count <= Self.maximumCount, "one place has too many names")
    self.names = names
  }

  func index(of name: some Sequence<UInt8>) -> Int? { names.firstIndex { name.elementsEqual($0.utf8) } }

  /// The name, shortened for an answer.
  package static func shown(_ name: String) -> String {
    name.count <= maximumShownLength ? name : name.prefix(maximumShownLength) + "…"
  }

  /// The declared name that the sender probably meant: equal without case and separators, a prefix or suffix, or a
  /// few typing errors away.
  package func nearest(to unknown: String) -> String? {
    let wanted = Self.plain(unknown)
    guard !wanted.isEmpty else { return nil }
    let distances = names.map { (name: $0, distance: Self.distance(from: wanted, to: Self.plain($0))) }
    let close = distances.min { $0.distance < $1.distance }
    if let close, close.distance <= wanted.count / 5 + 1, close.distance < wanted.count { return close.name }
    let (minimumPart, part) = (3, String(decoding: wanted, as: UTF8.self))
    guard wanted.count >= minimumPart else { return nil }
    return distances.filter { candidate in
      let name = String(decoding: Self.plain(candidate.name), as: UTF8.self)
      return name.hasPrefix(part) || name.hasSuffix(part)
        || name.utf8.count >= minimumPart && (part.hasPrefix(name) || part.hasSuffix(name))
    }.min { $0.distance < $1.distance }?.name
  }

  /// In lower case, without separators: `deviceName` and `device-name` are `device_name`.
  private static func plain(_ name: String) -> [UInt8] {
    name.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }
  }

  /// The Levenshtein distance.
  private static func distance(from a: [UInt8], to b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for (index, byte) in a.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for column in b.indices {
        let replaced = diagonal + (byte == b[column] ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
      }
    }
    return row[b.count]
  }
}

enum NameFault {
  case unknown
  case repeated

  /// The message of a `Problem.FieldError`.
  /// - Parameter kind: the noun for the names, for example `member`.
  func message(for name: String, among names: NameList, of kind: String) -> String {
    switch self {
    case .repeated: "must not be given twice"
    case .unknown:
      if let nearest = names.nearest(to: NameList.shown(name)) {
        "is not known here; perhaps `\(nearest)` was meant"
      } else if names.names.isEmpty {
        "is not known here; this request takes no \(kind)"
      } else {
        "is not known here; this request takes \(names.names.map { "`\($0)`" }.joined(separator: ", "))"
      }
    }
  }
}

/// The names of a list that a request contains.
struct GivenNames {
  private var bits: UInt64 = 0

  /// Records a name by its index in the list; nil is an unknown name.
  mutating func note(_ index: Int?) -> NameFault? {
    guard let index else { return .unknown }
    let bit: UInt64 = 1 << index
    guard bits & bit == 0 else { return .repeated }
    bits |= bit
    return nil
  }
}

/// The members that a schema declares for an object, and for the objects and arrays inside. A schema without members
/// accepts any object.
final class JSONMembers: Sendable {
  /// Whether the names of an object's members are tested.
  let isObject: Bool
  let names: NameList
  /// The declarations inside the members' values, in the order of `names`.
  let values: [JSONMembers?]
  /// Whether the object may have undeclared members.
  let isOpen: Bool
  /// The declarations inside an array's elements.
  let elements: JSONMembers?

  /// The members whose values are kept unchanged.
  let rawNames: [String]

  /// Nil if the schema declares no members.
  init?(of schema: JSONValue) {
    let members = schema.properties
    let others = schema["additionalProperties"]
    guard !schema.isRaw else { return nil }
    if case .object? = others { isOpen = true } else { isOpen = false }
    elements = schema["items"].flatMap { JSONMembers(of: $0) }
    isObject = !members.isEmpty || others != nil
    guard isObject || elements != nil else { return nil }
    names = NameList(members.map(\.name))
    values = members.map { JSONMembers(of: $0.value) }
    rawNames = members.filter(\.value.isRaw).map(\.name)
  }

  /// Throws for the first unknown member in the order of the text. The rules test the types of values.
  func test(_ value: ParsedJSON) throws(Problem) {
    switch value {
    case .object(let object) where isObject:
      for member in object.members {
        let index = names.index(of: member.name.utf8)
        guard index != nil || isOpen else {
          let message = NameFault.unknown.message(for: member.name, among: names, of: "member")
          throw .invalidValue(of: NameList.shown(member.name), message)
        }
        try index.flatMap { values[$0] }?.test(member.value, at: member.name)
      }
    case .array(let values):
      guard let elements else { return }
      for (index, value) in values.enumerated() { try elements.test(value, at: String(index)) }
    default: break
    }
  }

  private func test(_ value: ParsedJSON, at step: String) throws(Problem) {
    do throws(Problem) { try test(value) } catch { throw error.inside(step) }
  }
}

extension JSONValue {
  fileprivate subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  /// Whether an object may have any members; they are not tested.
  var isRaw: Bool { if case .boolean(true)? = self["additionalProperties"] { true } else { false } }

  /// Whether an object's members have names that the schema does not tell.
  var isMap: Bool {
    switch self["additionalProperties"] {
    case nil, .boolean(false)?: false
    default: true
    }
  }

  /// The members that a schema and its alternatives declare, without duplicates.
  fileprivate var properties: [(name: String, value: JSONValue)] {
    var found: [(name: String, value: JSONValue)] = []
    if case .object(let own)? = self["properties"] { found = own }
    for keyword in ["oneOf", "anyOf", "allOf"] {
      guard case .array(let alternatives)? = self[keyword] else { continue }
      for member in alternatives.flatMap(\.properties) where !found.contains(where: { $0.name == member.name })
      {
        found.append(member)
      }
    }
    return found
  }
}
