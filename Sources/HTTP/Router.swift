internal import Encoding

/// Finds which of several routes a method and a path are.
///
/// A path is `/`-separated segments; one in braces, as in `/devices/{id}`, stands for any single segment that
/// is not empty. A literal segment must match as it was received: nothing is decoded to find a route.
///
/// It answers a route's number, for others to keep what belongs to it: of a generic type, the code would be generic too,
/// in each request.
public struct Router: Sendable {
  private var paths: [RoutePath] = []
  /// For each of the paths: its methods and the routes' numbers, in the order of the routes.
  private var methods: [[(name: String, route: Int)]] = []

  public enum Match {
    /// The route's number, counted from 0, and the segments that stood for parameters, percent-decoded once; nil for
    /// one whose encoding is broken.
    case found(Int, parameters: [String?])
    /// The path is there under other methods: the value of `Allow`.
    case methodNotAllowed(allow: String)
    case notFound
  }

  /// A route for `GET` is one for `HEAD` too (RFC 9110, section 9.3.2).
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
  /// With `parameter` for each segment that is one.
  private let template: [UInt8]
  /// Bytes of a path without parameters, which tell most paths apart; nil where there are parameters.
  private let length: Int?

  /// Stands for a parameter: no byte of a path.
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

  /// Where the parameters are, if the path is of this form.
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
