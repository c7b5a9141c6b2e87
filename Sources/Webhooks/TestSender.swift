public import EventLoop
public import Registry
private import Synchronization

/// Posts test events, in any process. Its connections are its own, so that tests and deliveries do not delay each other.
public final class TestSender: WebhookSender, ClosableService {
  /// Tests at a time; of one client, one.
  public static let maximumTests = 16

  private let sealer: any Sealer
  private let receivers: Receivers
  private let testing = Mutex<Set<ClientID>>([])

  public init(sealer: any Sealer, receivers: Receivers) {
    self.sealer = sealer
    self.receivers = receivers
  }

  public func close() async { await receivers.close() }

  public func sendTest(
    _ event: RecordedEvent, to webhook: DeliverableWebhook
  ) async throws(RegistryError) -> WebhookDelivery {
    let client = webhook.webhook.clientID
    let secret = try WebhookSecret(sealed: webhook.sealedSecret, of: webhook.webhook.id, with: sealer)
    try begin(client)
    defer { testing.withLock { _ = $0.remove(client) } }
    let delivery = await receivers.post(event, to: webhook.webhook.url, secret: secret, attempt: 1)
    guard let delivery else { throw .unavailable(cause: "the service stops") }
    return delivery
  }

  private func begin(_ client: ClientID) throws(RegistryError) {
    try testing.withLock { (testing) throws(RegistryError) in
      guard !testing.contains(client) else { throw .tooManyWaiting(limit: 1) }
      guard testing.count < Self.maximumTests else { throw .overloaded(queue: "webhook tests") }
      testing.insert(client)
    }
  }
}
