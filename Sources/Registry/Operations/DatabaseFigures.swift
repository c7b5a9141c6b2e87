/// How much a registry's database has, and which processes use it, for its operator.
public struct DatabaseFigures: Hashable, Sendable {
  /// With indexes, and with SQLite's write-ahead log.
  public var bytes: Int64 = 0
  /// Bytes that are free on the disk of an SQLite file; nil for PostgreSQL.
  public var freeBytes: Int64?
  public var clients = 0
  /// Revoked ones included.
  public var devices = 0
  /// Expired ones included.
  public var keptSignals = 0
  /// Signals that devices may still get: at most `maximumCounted`, at which counting ended.
  public var liveSignals = 0
  /// An estimate.
  public var keptEvents = 0
  public var webhooks = 0
  /// Enabled ones whose last attempt failed.
  public var failingWebhooks = 0
  /// Those that were disabled because they failed.
  public var disabledWebhooks = 0
  /// Since when the first of the failing ones has delivered nothing; nil if none fails.
  public var failingSince: Timestamp?
  /// The processes that serve the database; nil if the system does not show them.
  public var serving: [ServingProcess]?
  /// The process that delivers to webhooks; nil if there is none, or the system does not show it.
  public var delivering: ServingProcess?

  public init() {}

  /// A count that could take long ends here.
  public static let maximumCounted = 1_000_000
}

/// A process that has a lock on the database.
public struct ServingProcess: Hashable, Sendable {
  /// What the database or the system knows of it, for people.
  public let name: String
  /// Whether no other process may serve the database.
  public let isExclusive: Bool
  /// Nil where it is not known.
  public let since: Timestamp?

  public init(name: String, isExclusive: Bool, since: Timestamp?) {
    (self.name, self.isExclusive, self.since) = (name, isExclusive, since)
  }
}
