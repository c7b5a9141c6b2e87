/// A page of a list, and where the next one starts.
public struct Page<Element: Sendable, Cursor: Sendable>: Sendable {
  public let elements: [Element]
  /// The cursor of the next page; nil if this is the last.
  public let next: Cursor?

  /// Keeps `limit` of up to `limit + 1` fetched elements.
  ///
  /// - Parameter isCut: whether there may be more elements after fewer than `limit + 1`.
  init(_ fetched: [Element], limit: Int, isCut: Bool = false, cursor: (Element) -> Cursor) {
    let isWhole = fetched.count <= limit
    elements = isWhole ? fetched : Array(fetched.prefix(limit))
    next = isWhole && !isCut ? nil : elements.last.map(cursor)
  }

  init(elements: [Element], next: Cursor?) { (self.elements, self.next) = (elements, next) }
}
