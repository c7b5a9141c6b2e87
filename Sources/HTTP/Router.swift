private import Glibc

/// Finds what answers a method and a path.
///
/// A path is `/`-separated segments; one in braces, as in `/devices/{id}`, stands for any single segment that
/// is not empty. A literal segment must match as it was received: nothing is decoded to find a route.
public struct Router<Handler> {
  private var paths: [RoutePath] = []
  /// For each of the paths: handlers by method, in the order of their addition.
  private var handlers: [[(method: String, handler: Handler)]] = []

  public enum Match {
    /// The handler, and the segments that stood for parameters, percent-decoded once; nil for one whose encoding
    /// is broken.
    case found(Handler, parameters: [String?])
    /// The path is there under other methods: the value of `Allow`.
    case methodNotAllowed(allow: String)
    case notFound
  }

  public init() {}

  /// Adds a handler. One for `GET` answers `HEAD` too (RFC 9110, section 9.3.2).
  public mutating func add(_ method: String, _ template: String, _ handler: Handler) {
    let path = RoutePath(template)
    if let index = paths.firstIndex(of: path) {
      handlers[index].append((method, handler))
    } else {
      paths.append(path)
      handlers.append([(method, handler)])
    }
  }

  public func match(method: String, path: Substring) -> Match {
    guard let (index, parameters) = RoutePath.find(path, among: paths) else { return .notFound }
    let wanted = method == "HEAD" ? "GET" : method
    for (method, handler) in handlers[index] where method == wanted {
      return .found(handler, parameters: parameters)
    }
    let methods = handlers[index].flatMap { $0.method == "GET" ? ["GET", "HEAD"] : [$0.method] }
    return .methodNotAllowed(allow: methods.joined(separator: ", "))
  }
}

extension Router: Sendable where Handler: Sendable {}

/// The path of a route.
private struct RoutePath: Equatable, Sendable {
  /// Literal segments; nil stands for a parameter.
  private let segments: [[UInt8]?]
  /// Bytes of a path without parameters, which tell most paths apart; nil where there are parameters.
  private let length: Int?

  init(_ template: String) {
    let segments = template.utf8.dropFirst()
      .split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      .map { $0.first == UInt8(ascii: "{") ? nil : Array($0) }
    length = segments.contains(nil) ? nil : template.utf8.count
    self.segments = segments
  }

  /// The first of the paths that matches, and its parameters, decoded.
  static func find(_ path: Substring, among paths: [RoutePath]) -> (index: Int, parameters: [String?])? {
    var path = path
    return path.withUTF8 { bytes in
      for (index, candidate) in paths.enumerated() where (candidate.length ?? bytes.count) == bytes.count {
        guard let ranges = candidate.match(bytes) else { continue }
        return (index, ranges.map { PercentEncoding.decode(UnsafeBufferPointer(rebasing: bytes[$0])) })
      }
      return nil
    }
  }

  /// Where the parameters are, if the path is of this form.
  private func match(_ path: UnsafeBufferPointer<UInt8>) -> [Range<Int>]? {
    var position = 0
    var parameters: [Range<Int>] = []
    for segment in segments {
      guard position < path.count, path[position] == UInt8(ascii: "/") else { return nil }
      position += 1
      if let literal = segment {
        guard path.count - position >= literal.count,
          memcmp(path.baseAddress! + position, literal, literal.count) == 0
        else { return nil }
        position += literal.count
      } else {
        let start = position
        while position < path.count, path[position] != UInt8(ascii: "/") { position += 1 }
        guard position > start else { return nil }
        parameters.append(start..<position)
      }
    }
    return position == path.count ? parameters : nil
  }
}
