internal import Synchronization

/// The labels of a family, and their values in one of its children. Values come from small closed sets: never an
/// id, a path or a name that somebody sent, for each set of values is kept for as long as the process lives.
public protocol MetricLabels: Hashable, Sendable {
  /// As Prometheus has them: `[a-z_]+`, in the order of `values`.
  static var names: [StaticString] { get }
  var values: [String] { get }
}

/// Instruments of one name that differ in their labels.
///
/// Any thread may ask for a child, under a lock that is held for one look into a dictionary; the child itself is
/// free of locks.
public final class MetricFamily<Labels: MetricLabels, Child: AnyObject & Sendable>: Sendable {
  private let children = Mutex<[Labels: Child]>([:])
  /// In place of the children that would be too many.
  private let overflow: Child
  private let make: @Sendable () -> Child

  /// Children of one family.
  public static var maximumChildren: Int { 1024 }
  /// What every label of `overflow` says.
  static var overflowValue: String { "other" }

  init(_ make: @escaping @Sendable () -> Child) {
    self.make = make
    overflow = make()
  }

  /// The child with these labels. Past `maximumChildren`, new labels share one child, each of whose values is
  /// `other`: the sum stays right.
  public subscript(labels: Labels) -> Child {
    children.withLock { children in
      if let child = children[labels] { return child }
      guard children.count < Self.maximumChildren else { return overflow }
      let child = make()
      children[labels] = child
      return child
    }
  }

  /// Lends each child with its labels, in the order of their values.
  func forEach(_ body: (_ labels: [MetricText.Label], _ child: Child) -> Void) {
    let (known, isFull) = children.withLock { ($0, $0.count == Self.maximumChildren) }
    let rows = known.map { (values: $0.key.values, child: $0.value) }
      .sorted { $0.values.lexicographicallyPrecedes($1.values) }
    for (values, child) in rows { body(MetricText.labels(of: Labels.self, values), child) }
    guard isFull else { return }
    body(MetricText.labels(of: Labels.self, Labels.names.map { _ in Self.overflowValue }), overflow)
  }
}
