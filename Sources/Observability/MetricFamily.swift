internal import Synchronization

/// The labels of a family, and their values in one of its children. Values come from small closed sets, never from
/// ids, paths or names that a client sent, because each set of values is kept while the process lives.
public protocol MetricLabels: Hashable, Sendable {
  /// In Prometheus' form: `[a-z_]+`, in the order of `values`.
  static var names: [StaticString] { get }
  var values: [String] { get }
}

/// Instruments with one name and different labels.
///
/// Any thread may look up a child, under a lock that is held for one dictionary access; the child itself uses no
/// locks.
public final class MetricFamily<Labels: MetricLabels, Child: AnyObject & Sendable>: Sendable {
  private let children = Mutex<[Labels: Child]>([:])
  /// Used when there are too many children.
  private let overflow: Child
  private let make: @Sendable () -> Child

  /// Children of one family.
  public static var maximumChildren: Int { 1024 }
  /// The value of every label of `overflow`.
  static var overflowValue: String { "other" }

  init(_ make: @escaping @Sendable () -> Child) {
    self.make = make
    overflow = make()
  }

  /// The child with these labels. Beyond `maximumChildren`, new labels share one child whose values are all `other`,
  /// so the sum stays right.
  public subscript(labels: Labels) -> Child {
    children.withLock { children in
      if let child = children[labels] { return child }
      guard children.count < Self.maximumChildren else { return overflow }
      let child = make()
      children[labels] = child
      return child
    }
  }

  /// Calls `body` with each child and its labels, in the order of their values.
  func forEach(_ body: (_ labels: [MetricText.Label], _ child: Child) -> Void) {
    let (known, isFull) = children.withLock { ($0, $0.count == Self.maximumChildren) }
    let rows = known.map { (values: $0.key.values, child: $0.value) }
      .sorted { $0.values.lexicographicallyPrecedes($1.values) }
    for (values, child) in rows { body(MetricText.labels(of: Labels.self, values), child) }
    guard isFull else { return }
    body(MetricText.labels(of: Labels.self, Labels.names.map { _ in Self.overflowValue }), overflow)
  }
}
