/// A dictionary of bounded size. When it is full, a new entry replaces one that was not used recently.
///
/// It evicts by the second-chance rule (CLOCK): a hand goes around the entries, spares each that was used since
/// its last visit, and evicts the first that was not: a flood of new keys does not evict entries in use.
package struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct Entry {
    let key: Key
    var value: Value
    /// Whether it was used since the hand's last visit.
    var isUsed: Bool
  }

  private let capacity: Int
  private var entries: [Entry] = []
  private var indexes: [Key: Int] = [:]
  private var hand = 0

  /// - Parameter capacity: the maximum number of entries, at least 1.
  package init(capacity: Int) {
    precondition(capacity > 0, "a cache of no entries")
    self.capacity = capacity
  }

  package var count: Int { entries.count }

  /// The value, and marks it as used; nil if there is none.
  package mutating func use(_ key: Key) -> Value? {
    guard let index = indexes[key] else { return nil }
    entries[index].isUsed = true
    return entries[index].value
  }

  /// The value, without marking it as used. Setting nil removes the entry.
  package subscript(key: Key) -> Value? {
    get { indexes[key].map { entries[$0].value } }
    set { if let newValue { insert(newValue, for: key) } else { remove(key) } }
  }

  /// Changes the value in place and returns the result of `body`; nil if there is no value.
  package mutating func modify<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
    guard let index = indexes[key] else { return nil }
    return body(&entries[index].value)
  }

  package mutating func removeAll() { self = BoundedCache(capacity: capacity) }

  package mutating func removeAll(where isRemoved: (Value) -> Bool) {
    entries.removeAll { isRemoved($0.value) }
    indexes = Dictionary(uniqueKeysWithValues: entries.indices.map { (entries[$0].key, $0) })
    hand = 0
  }

  /// Changes every value in place.
  package mutating func modifyAll(_ body: (inout Value) -> Void) {
    for index in entries.indices { body(&entries[index].value) }
  }

  private mutating func insert(_ value: Value, for key: Key) {
    if let index = indexes[key] {
      entries[index].value = value
    } else if entries.count < capacity {
      indexes[key] = entries.count
      entries.append(Entry(key: key, value: value, isUsed: false))
    } else {
      turnHand()
      indexes[entries[hand].key] = nil
      indexes[key] = hand
      entries[hand] = Entry(key: key, value: value, isUsed: false)
      hand = (hand + 1) % capacity
    }
  }

  /// Moves to the first unused entry. After one round no entry is marked.
  private mutating func turnHand() {
    while entries[hand].isUsed {
      entries[hand].isUsed = false
      hand = (hand + 1) % entries.count
    }
  }

  private mutating func remove(_ key: Key) {
    guard let index = indexes.removeValue(forKey: key) else { return }
    let last = entries.removeLast()
    if index < entries.count {
      entries[index] = last
      indexes[last.key] = index
    }
    if hand >= entries.count { hand = 0 }
  }
}
