package import Foundation

/// A list that the registry returns in pages. A page is fetched when its first element is read.
public struct Pages<Element: Decodable & Sendable>: AsyncSequence, Sendable {
  public typealias Failure = RegistryClientError

  let exchange: OwnerExchange
  /// The first page's path and query.
  let target: String

  public func makeAsyncIterator() -> Iterator { Iterator(exchange: exchange, next: target) }

  /// The whole list. Throws the errors of a request.
  public func all() async throws(RegistryClientError) -> [Element] {
    var elements: [Element] = []
    var iterator = makeAsyncIterator()
    while let element = try await iterator.next() { elements.append(element) }
    return elements
  }

  /// Calls the body with each page: its elements, and each of them as the registry wrote it.
  package func forEachPage(_ body: ([Element], [Data]) throws -> Void) async throws {
    var iterator = makeAsyncIterator()
    while let (elements, json) = try await iterator.nextPage() {
      try body(elements, (JSONText(json).elements ?? []).map { Data($0.bytes) })
    }
  }

  public struct Iterator: AsyncIteratorProtocol {
    private let exchange: OwnerExchange
    /// The page to fetch; nil after the last.
    private var nextTarget: String?
    /// Elements that were fetched and not returned yet, in reverse.
    private var waiting: [Element] = []

    fileprivate init(exchange: OwnerExchange, next target: String) {
      self.exchange = exchange
      nextTarget = target
    }

    public mutating func next() async throws(RegistryClientError) -> Element? {
      try await next(isolation: #isolation)
    }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws(RegistryClientError)
      -> Element?
    {
      while waiting.isEmpty, let (elements, _) = try await nextPage() { waiting = elements.reversed() }
      return waiting.popLast()
    }

    /// Fetches the next page; nil after the last.
    fileprivate mutating func nextPage() async throws(RegistryClientError) -> (elements: [Element], json: Data)?
    {
      guard let target = nextTarget else { return nil }
      let answer = try await exchange.perform(Call(method: "GET", target: target))
      let elements = try answer.decode([Element].self)
      nextTarget = try Link.next(answer.value(of: "link"), after: target)
      return (elements, answer.body)
    }
  }
}

/// Links to other pages (RFC 8288).
enum Link {
  /// The target of `Link: <...>; rel="next"`; nil without one. Throws `malformedAnswer` if it has another path than
  /// the previous page or is the same page: the token is for this list, and a list must end.
  static func next(_ field: String?, after target: String) throws(RegistryClientError) -> String? {
    guard let link = field?.firstMatch(of: #/<([^<>]*)>\s*;\s*rel="?next"?/#)?.1 else { return nil }
    let isPrintable = link.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard isPrintable, path(link) == path(target[...]), link != target else {
      throw .malformedAnswer("Link leads astray")
    }
    return String(link)
  }

  private static func path(_ target: Substring) -> Substring { target.prefix { $0 != "?" } }
}
