/// Which migrations a registry's database has, and which this version would still apply.
public struct SchemaState: Hashable, Sendable {
  /// The database's program and version, for example `PostgreSQL 15.14`.
  public let product: String
  /// The labels of the applied migrations, in order.
  public let applied: [String]
  /// The labels of those that this version would apply, in order.
  public let pending: [String]

  /// Throws `changed`, `unknown` and `outOfOrder`.
  public init(
    product: String, applied: [AppliedMigration], of migrations: [Migration]
  ) throws(MigrationError) {
    self.product = product
    pending = try migrations.pending(after: applied).map(\.label)
    self.applied = applied.sorted { $0.number < $1.number }.map {
      Migration.label(number: $0.number, name: $0.name)
    }
  }
}
