internal import Encoding

/// Finds the route of a method and a path.
///
/// A path is `/`-separated segments; one in braces, as in `/devices/{id}`, matches any single segment that is not
/// empty. A path without parameters goes before those with them. A literal segment must match as it was received:
/// nothing is decoded to find a route.
///
/// It returns the number of a route, and its users keep what belongs to the route: with a generic type, each request
/// would run generic code.
public struct Router: Sendable {
  private var paths: [RoutePath] = []
  /// For each path: its methods and the numbers of their routes, in the order of the routes.
  private var methods: [[(name: String, route: Int)]] = []
  private var literals = PathGroups()
  private var templates = PathGroups()

  public enum Match {
    /// The route's number, counted from 0, and the segments of its parameters, percent-decoded once; nil for a segment
    /// whose encoding is invalid.
    case found(Int, parameters: [String?])
    /// The path exists with other methods: the value of `Allow`.
    case methodNotAllowed(allow: String)
    case notFound
  }

  /// A route for `GET` also matches `HEAD` (RFC 9110, section 9.3.2).
  public init(_ routes: [(method: String, path: String)]) {
    for (number, route) in routes.enumerated() {
      let path = RoutePath(route.path)
      if let index = paths.firstIndex(of: path) {
        methods[index].append((route.method, number))
      } else {
        path.length.map { literals.add(paths.count, of: $0) } ?? templates.add(paths.count, of: path.separators)
        paths.append(path)
        methods.append([(route.method, number)])
      }
    }
  }

  public func match(method: String, path: Substring) -> Match {
    guard let (index, parameters) = find(path) else { return .notFound }
    let wanted = method == "HEAD" ? "GET" : method
    for (name, route) in methods[index] where name == wanted { return .found(route, parameters: parameters) }
    return .methodNotAllowed(allow: Self.allow(methods[index].map(\.name)))
  }

  /// The path that matches, and its parameters, decoded.
  private func find(_ path: Substring) -> (index: Int, parameters: [String?])? {
    var path = path
    return path.withUTF8 { bytes in
      for index in literals[bytes.count] where paths[index].isEqual(to: bytes) { return (index, []) }
      for index in templates[RoutePath.separators(of: bytes)] {
        guard let ranges = paths[index].match(bytes) else { continue }
        return (index, ranges.map { PercentEncoding.decode(UnsafeBufferPointer(rebasing: bytes[$0])) })
      }
      return nil
    }
  }

  /// The methods of all routes, as in `Allow`.
  public var methodNames: String {
    Self.allow(methods.joined().map(\.name).reduce(into: []) { if !$0.contains($1) { $0.append($1) } })
  }

  private static func allow(_ names: [String]) -> String {
    names.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] }.joined(separator: ", ")
  }
}

/// The paths of a table that agree in a number, in the order of the table: few of many can match a request.
private struct PathGroups: Sendable {
  private var groups: [[Int]] = []

  mutating func add(_ path: Int, of number: Int) {
    while groups.count <= number { groups.append([]) }
    groups[number].append(path)
  }

  subscript(number: Int) -> [Int] { groups.indices.contains(number) ? groups[number] : [] }
}

/// The path of a route, as its bytes.
private struct RoutePath: Equatable, Sendable {
  /// With `parameter` for each segment that is a parameter.
  private let template: [UInt8]
  /// The bytes of a path without parameters; nil with parameters.
  let length: Int?
  let separators: Int

  /// Marks a parameter: not a byte of any path.
  private static let parameter: UInt8 = 0
  private static let separator = UInt8(ascii: "/")

  init(_ template: String) {
    let segments = template.utf8.split(separator: Self.separator, omittingEmptySubsequences: false)
      .map { $0.first == UInt8(ascii: "{") ? [Self.parameter] : Array($0) }
    self.template = Array(segments.joined(separator: [Self.separator]))
    length = segments.contains([Self.parameter]) ? nil : template.utf8.count
    separators = segments.count - 1
  }

  static func separators(of path: UnsafeBufferPointer<UInt8>) -> Int {
    path.reduce(0) { $0 + ($1 == separator ? 1 : 0) }
  }

  func isEqual(to path: UnsafeBufferPointer<UInt8>) -> Bool {
    template.withUnsafeBufferPointer { path.equals($0) }
  }

  /// The places of the parameters, if the path has this form.
  func match(_ path: UnsafeBufferPointer<UInt8>) -> [Range<Int>]? {
    template.withUnsafeBufferPointer { template in
      var position = 0
      var parameters: [Range<Int>] = []
      for byte in template {
        if byte == Self.parameter {
          let start = position
          while position < path.count, path[position] != Self.separator { position += 1 }
          guard position > start else { return nil }
          parameters.append(start..<position)
        } else {
          guard position < path.count, path[position] == byte else { return nil }
          position += 1
        }
      }
      return position == path.count ? parameters : nil
    }
  }
}
