/// A part of a list, and where the rest begins.
public struct Page<Element: Sendable, Cursor: Sendable>: Sendable {
  public let elements: [Element]
  /// Where the next page goes on; nil when this is the last.
  public let next: Cursor?

  /// The whole list.
  init(all elements: [Element]) {
    self.elements = elements
    next = nil
  }

  /// Of up to `limit + 1` elements that were fetched, keeps `limit`.
  init(_ fetched: [Element], limit: Int, cursor: (Element) -> Cursor) {
    let isLast = fetched.count <= limit
    elements = isLast ? fetched : Array(fetched.prefix(limit))
    next = isLast ? nil : elements.last.map(cursor)
  }
}
