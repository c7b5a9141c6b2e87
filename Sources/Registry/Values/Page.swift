/// A page of a list, and where the next one starts.
public struct Page<Element: Sendable, Cursor: Sendable>: Sendable {
  public let elements: [Element]
  /// The cursor of the next page; nil if this is the last.
  public let next: Cursor?

  /// Keeps `limit` of up to `limit + 1` fetched elements.
  init(_ fetched: [Element], limit: Int, cursor: (Element) -> Cursor) {
    let isLast = fetched.count <= limit
    elements = isLast ? fetched : Array(fetched.prefix(limit))
    next = isLast ? nil : elements.last.map(cursor)
  }
}
