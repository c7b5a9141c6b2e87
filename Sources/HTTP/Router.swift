internal import Encoding

/// Finds the route of a method and a path.
///
/// A path is `/`-separated segments; one in braces, as in `/devices/{id}`, matches any single segment that is not
/// empty. A literal segment must match as it was received: nothing is decoded to find a route.
///
/// It returns the number of a route, and its users keep what belongs to the route: with a generic type, each request
/// would run generic code.
public struct Router: Sendable {
  private var paths: [RoutePath] = []
  /// For each path: its methods and the numbers of their routes, in the order of the routes.
  private var methods: [[(name: String, route: Int)]] = []

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
        paths.append(path)
        methods.append([(route.method, number)])
      }
    }
  }

  public func match(method: String, path: Substring) -> Match {
    guard let (index, parameters) = RoutePath.find(path, among: paths) else { return .notFound }
    let wanted = method == "HEAD" ? "GET" : method
    for (name, route) in methods[index] where name == wanted { return .found(route, parameters: parameters) }
    return .methodNotAllowed(allow: Self.allow(methods[index].map(\.name)))
  }

  /// The methods of all routes, as in `Allow`.
  public var methodNames: String {
    Self.allow(methods.joined().map(\.name).reduce(into: []) { if !$0.contains($1) { $0.append($1) } })
  }

  private static func allow(_ names: [String]) -> String {
    names.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] }.joined(separator: ", ")
  }
}

/// The path of a route, as its bytes.
private struct RoutePath: Equatable, Sendable {
  /// With `parameter` for each segment that is a parameter.
  private let template: [UInt8]
  /// The bytes of a path without parameters, which distinguish most paths; nil with parameters.
  private let length: Int?

  /// Marks a parameter: not a byte of any path.
  private static let parameter: UInt8 = 0
  private static let separator = UInt8(ascii: "/")

  init(_ template: String) {
    let segments = template.utf8.split(separator: Self.separator, omittingEmptySubsequences: false)
      .map { $0.first == UInt8(ascii: "{") ? [Self.parameter] : Array($0) }
    self.template = Array(segments.joined(separator: [Self.separator]))
    length = segments.contains([Self.parameter]) ? nil : template.utf8.count
  }

  /// The first of the paths that matches, and its parameters, decoded.
  static func find(_ path: Substring, among paths: [RoutePath]) -> (index: Int, parameters: [String?])? {
    var path = path
    return path.withUTF8 { bytes in
      for index in paths.indices where (paths[index].length ?? bytes.count) == bytes.count {
        guard let ranges = paths[index].match(bytes) else { continue }
        return (index, ranges.map { PercentEncoding.decode(UnsafeBufferPointer(rebasing: bytes[$0])) })
      }
      return nil
    }
  }

  /// The places of the parameters, if the path has this form.
  private func match(_ path: UnsafeBufferPointer<UInt8>) -> [Range<Int>]? {
    template.withUnsafeBufferPointer { template in
      if template.count == length { return path.equals(template) ? [] : nil }
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
