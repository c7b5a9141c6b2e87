internal import Registry

/// What of the bot's work the database does not do. A cause is reported once, until all work that failed is done again.
///
/// `@unchecked Sendable`: its state is confined to the bot's loop.
final class StoreFailures: @unchecked Sendable {
  enum Work: Hashable {
    case updates, links
    case chats(ClientID)
  }

  /// Causes that are reported; there are a few.
  static let maximumCauses = 16

  private let report: @Sendable (BotReport) -> Void
  /// Each is tried again, or was given up. There are as many as linked clients at most.
  private var failing: Set<Work> = []
  private var causes: Set<RegistryError> = []

  init(report: @escaping @Sendable (BotReport) -> Void) { self.report = report }

  func failed(_ work: Work, _ cause: RegistryError) {
    failing.insert(work)
    guard causes.count < Self.maximumCauses, causes.insert(cause).inserted else { return }
    report(.storeFailed(cause))
  }

  func done(_ work: Work) {
    guard failing.remove(work) != nil, failing.isEmpty else { return }
    causes = []
  }

  /// This process no longer tries again what failed.
  func forget() { (failing, causes) = ([], []) }
}
