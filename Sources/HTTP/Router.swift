/// Finds what answers a method and a path.
///
/// A path is `/`-separated segments; one in braces, as in `/devices/{id}`, stands for any single segment that
/// is not empty. A literal segment must match as it was received: nothing is decoded to find a route.
public struct Router<Handler> {
  fileprivate struct Route {
    let segments: [Segment]
    /// Handlers by method, in the order of their addition.
    var handlers: [(method: String, handler: Handler)]
    let template: String
  }

  fileprivate enum Segment {
    case literal(String)
    case parameter
  }

  public enum Match {
    /// The handler, the template of its path, and the segments that stood for parameters, percent-decoded once;
    /// nil for one whose encoding is broken.
    case found(Handler, template: String, parameters: [String?])
    /// The path is there under other methods: the value of `Allow`.
    case methodNotAllowed(allow: String)
    case notFound
  }

  private var routes: [Route] = []

  public init() {}

  /// Adds a handler. One for `GET` answers `HEAD` too (RFC 9110, section 9.3.2).
  public mutating func add(_ method: String, _ template: String, _ handler: Handler) {
    if let index = routes.firstIndex(where: { $0.template == template }) {
      routes[index].handlers.append((method, handler))
    } else {
      let segments = Self.split(template).map { segment -> Segment in
        segment.hasPrefix("{") ? .parameter : .literal(String(segment))
      }
      routes.append(Route(segments: segments, handlers: [(method, handler)], template: template))
    }
  }

  public func match(method: String, path: some StringProtocol) -> Match {
    let segments = Self.split(path)
    guard let (route, parameters) = route(for: segments) else { return .notFound }
    let wanted = method == "HEAD" ? "GET" : method
    if let found = route.handlers.first(where: { $0.method == wanted }) {
      return .found(
        found.handler, template: route.template, parameters: parameters.map { PercentEncoding.decode($0) })
    }
    let methods = route.handlers.flatMap { $0.method == "GET" ? ["GET", "HEAD"] : [$0.method] }
    return .methodNotAllowed(allow: methods.joined(separator: ", "))
  }

  private func route<S: StringProtocol>(for path: [S]) -> (Route, parameters: [S])? {
    next: for route in routes where route.segments.count == path.count {
      var parameters: [S] = []
      for (segment, text) in zip(route.segments, path) {
        switch segment {
        case .literal(let literal): if text != literal { continue next }
        case .parameter:
          if text.isEmpty { continue next }
          parameters.append(text)
        }
      }
      return (route, parameters)
    }
    return nil
  }

  private static func split<S: StringProtocol>(_ path: S) -> [S.SubSequence] {
    path.split(separator: "/", omittingEmptySubsequences: false)
  }
}

extension Router: Sendable where Handler: Sendable {}
extension Router.Route: Sendable where Handler: Sendable {}
