/// A first in, first out queue with constant-time operations. Its users bound its length.
@frozen public struct Queue<Element> {
  @usableFromInline var elements: [Element?] = []
  @usableFromInline var head = 0

  @inlinable public init() {}

  @inlinable public var count: Int { elements.count - head }

  /// The oldest element; nil if there is none. It can be changed in place, but must not be set to nil.
  @inlinable public var first: Element? {
    get { head < elements.count ? elements[head] : nil }
    _modify {
      precondition(head < elements.count)
      yield &elements[head]
    }
  }

  @inlinable public mutating func append(_ element: Element) { elements.append(element) }

  /// Puts an element before all others. Takes time in proportion to `count` if none was removed since the queue last freed
  /// its places.
  @inlinable public mutating func prepend(_ element: Element) {
    if head > 0 {
      head -= 1
      elements[head] = element
    } else {
      elements.insert(element, at: 0)
    }
  }

  @inlinable public mutating func removeFirst() -> Element? {
    guard head < elements.count else { return nil }
    let element = elements[head]
    elements[head] = nil
    head += 1
    // Removed places are freed together, once they are half of the array.
    if head * 2 >= elements.count {
      elements.removeSubrange(..<head)
      head = 0
    }
    return element
  }

  /// Empties the queue, and returns what was in it, oldest first.
  @discardableResult
  @inlinable public mutating func removeAll() -> [Element] {
    defer { self = Queue() }
    return elements[head...].compactMap { $0 }
  }
}

extension Queue: Sendable where Element: Sendable {}
