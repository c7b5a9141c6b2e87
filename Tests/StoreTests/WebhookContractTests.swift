import Registry
import TestSupport
import Testing

@testable import Server

@Suite("Every store: webhooks") struct WebhookContractTests {
  private let box: [UInt8] = [1, 2, 3]

  private func webhook(
    _ number: UInt64 = 1, of client: ClientID = alice, types: [String]? = nil, position: EventPosition = .start
  ) throws -> Webhook {
    Webhook(
      id: WebhookID(high: 1, low: number), clientID: client,
      url: try WebhookURL("https://example.com/\(number)?token=secret"),
      types: types.flatMap { EventPatterns($0) },
      description: try WebhookDescription("My \"hook\" 🚀"), createdAt: noon.plus(seconds: Int64(number)),
      updatedAt: noon.plus(seconds: Int64(number)), progress: DeliveryProgress(after: position))
  }

  private func delivery(_ number: UInt64, _ outcome: DeliveryOutcome = .answered(status: 200, excerpt: "ok"))
    -> WebhookDelivery
  {
    WebhookDelivery(
      eventID: EventID(high: 7, low: number), eventType: "device.registered", attempt: 1,
      at: noon.plus(seconds: Int64(number)), durationMilliseconds: Int(number), outcome: outcome)
  }

  private func add(_ webhook: Webhook, to store: any RegistryStore) async throws {
    try await store.insertWebhook(webhook, sealedSecret: box, changes: [:], change: .at(noon))
  }

  private func types(_ store: any RegistryStore) async throws -> [String] {
    try await store.seenEvents(of: alice).events.map(\.type)
  }

  @Test(arguments: StoreKind.allCases)
  func `A webhook is stored with all its values, and listed oldest first`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      try await store.insertClient(client("bob"))
      let position = EventPosition(epoch: 3, transaction: 4, sequence: .max)
      let (first, second) = (
        try webhook(1, types: ["device.*", "signal.created"], position: position), try webhook(2)
      )
      try await add(second, to: store)
      try await add(first, to: store)
      try await add(try webhook(3, of: ClientID("bob")!), to: store)
      let found = try #require(try await store.webhook(first.id))
      #expect(found.webhook == first && found.sealedSecret == box && found.version == 1)
      #expect(try await store.webhooks(of: alice) == [first, second])
      #expect(try await store.webhook(WebhookID(high: 9, low: 9)) == nil)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A client has a bounded number of webhooks, and must exist`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      await #expect(throws: RegistryError.clientNotFound) { try await add(try webhook(), to: store) }
      try await store.insertClient(client("alice"))
      for number in 1...UInt64(Webhook.maximumPerClient) { try await add(try webhook(number), to: store) }
      await #expect(throws: RegistryError.tooManyWebhooks(limit: Webhook.maximumPerClient)) {
        try await add(try webhook(100), to: store)
      }
      _ = try await store.deleteWebhook(WebhookID(high: 1, low: 1), of: alice, change: .at(noon))
      try await add(try webhook(100), to: store)
      _ = try await store.deleteClient(alice)
      await #expect(throws: RegistryError.clientNotFound) { try await add(try webhook(101), to: store) }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Of many at once, no more are created than a client may have`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      await withTaskGroup { group in
        for number in 1...UInt64(2 * Webhook.maximumPerClient) {
          group.addTask { try? await add(try webhook(number), to: store) }
        }
      }
      #expect(try await store.webhooks(of: alice).count == Webhook.maximumPerClient)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `A change replaces the values of the version that was read, and of no other`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let old = try webhook(1, types: ["device.*"])
      try await add(old, to: store)
      var progress = DeliveryProgress(after: EventPosition(epoch: 1, transaction: 2, sequence: 3))
      progress.failed(at: noon.plus(seconds: 60), jitter: 0)
      let new = Webhook(
        id: old.id, clientID: alice, url: try WebhookURL("http://other.example/"), types: nil, description: nil,
        createdAt: old.createdAt, updatedAt: noon.plus(seconds: 90), progress: progress)
      let change = Change.at(noon.plus(seconds: 90))
      #expect(try await !store.updateWebhook(new, version: 2, changes: [:], change: change))
      #expect(try await store.webhook(old.id)?.webhook == old)
      #expect(try await store.updateWebhook(new, version: 1, changes: [:], change: change))
      let found = try #require(try await store.webhook(old.id))
      #expect(found.webhook == new && found.version == 2 && found.sealedSecret == box)
      #expect(try await !store.updateWebhook(new, version: 1, changes: [:], change: change))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Only its owner deletes a webhook, and its log is deleted with it`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let webhook = try webhook()
      try await add(webhook, to: store)
      _ = try await store.recordDeliveries(
        [delivery(1)], of: webhook, version: 1, progress: webhook.progress, change: .at(noon))
      #expect(try await !store.deleteWebhook(webhook.id, of: ClientID("bob")!, change: .at(noon)))
      #expect(try await store.deleteWebhook(webhook.id, of: alice, change: .at(noon)))
      #expect(try await !store.deleteWebhook(webhook.id, of: alice, change: .at(noon)))
      #expect(try await store.webhookDeliveries(of: webhook.id, before: nil, limit: 10).isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Each change is an event without the URL and the secret`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let webhook = try webhook()
      try await store.insertWebhook(
        webhook, sealedSecret: box, changes: ["webhook_id": (.null, .text("\(webhook.id)"))], change: .at(noon))
      _ = try await store.updateWebhook(
        webhook, version: 1, changes: ["types": (.null, .list(["device.*", "\""]))], change: .at(noon))
      var progress = webhook.progress
      progress.failed(at: noon, isGone: true, jitter: 0)
      let change = Change(by: .system, at: noon, reason: "the receiver answered 410 Gone")
      _ = try await store.recordDeliveries(
        [delivery(1)], of: webhook, version: 2, progress: progress, change: change)
      _ = try await store.deleteWebhook(webhook.id, of: alice, change: .at(noon))
      let events = try await store.seenEvents(of: alice).events.dropFirst()
      #expect(
        events.map(\.type) == ["webhook.created", "webhook.updated", "webhook.disabled", "webhook.deleted"])
      let changes = events.map { event in
        String(decoding: (event.changes ?? []).filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)
      }
      let id = webhook.id
      #expect(
        changes == [
          #"{"webhook_id":[null,"\#(id)"]}"#, #"{"types":[null,["device.*","\""]]}"#,
          #"{"webhook_id":["\#(id)","\#(id)"],"enabled":[true,false]}"#, #"{"webhook_id":["\#(id)",null]}"#,
        ])
      #expect(
        events.map(\.reason)[2] == "the receiver answered 410 Gone" && events.map(\.actorKind)[2] == "system")
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Deliveries are logged in their order, and the progress with them, by one writer`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let webhook = try webhook()
      try await add(webhook, to: store)
      let position = EventPosition(epoch: 1, transaction: 5, sequence: 8)
      var progress = DeliveryProgress(after: position)
      progress.failed(at: noon.plus(seconds: 5), jitter: 0)
      let failure = DeliveryOutcome.unanswered(reason: "Timeout was reached")
      let batch = [delivery(1), delivery(2), delivery(3, failure)]
      let change = Change(by: .system, at: noon)
      let version = try await store.recordDeliveries(
        batch, of: webhook, version: 1, progress: progress, change: change)
      #expect(version == 2)
      // Another writer, which read before.
      #expect(
        try await store.recordDeliveries(
          [delivery(9)], of: webhook, version: 1, progress: DeliveryProgress(after: .start), change: change)
          == nil)
      #expect(
        try await store.recordDeliveries([], of: webhook, version: 2, progress: progress, change: change) == 3)
      let found = try #require(try await store.webhook(webhook.id))
      #expect(found.webhook.progress == progress && found.webhook.updatedAt == webhook.updatedAt)
      let log = try await store.webhookDeliveries(of: webhook.id, before: nil, limit: 10)
      #expect(log.map(\.delivery) == batch.reversed() && log.map(\.number) == [3, 2, 1])
      let page = try await store.webhookDeliveries(of: webhook.id, before: DeliveryCursor(number: 3), limit: 1)
      #expect(page.map(\.number) == [2])
      #expect(try await types(store) == ["client.created", "webhook.created"])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The log of a webhook is bounded, and old deliveries are deleted in steps`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      let webhook = try webhook()
      try await add(webhook, to: store)
      var version: Int64 = 1
      let change = Change(by: .system, at: noon)
      for start in stride(from: UInt64(0), to: 1200, by: 100) {
        let batch = (start..<start + 100).map { delivery($0) }
        version = try #require(
          try await store.recordDeliveries(
            batch, of: webhook, version: version, progress: webhook.progress, change: change))
      }
      let log = try await store.webhookDeliveries(of: webhook.id, before: nil, limit: 2000)
      #expect(log.count == WebhookDelivery.maximumKept && log.first?.number == 1200 && log.last?.number == 201)
      // Numbers 201 to 700 began before.
      let time = noon.plus(seconds: 700)
      #expect(try await store.removeWebhookDeliveries(before: time, maximumRows: 400) == 400)
      #expect(try await store.removeWebhookDeliveries(before: time, maximumRows: 400) == 100)
      #expect(try await store.removeWebhookDeliveries(before: time, maximumRows: 400) == 0)
      let rest = try await store.webhookDeliveries(of: webhook.id, before: nil, limit: 2000)
      #expect(rest.last?.number == 701)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Found to be delivered to are the enabled webhooks that do not wait for a retry`(_ kind: StoreKind)
    async throws
  {
    try await withStore(kind) { store in
      let (bob, carol) = (ClientID("bob")!, ClientID("ca\"rol\\")!)
      for client in ["alice", "bob", "ca\"rol\\"] { try await store.insertClient(StoreTests.client(client)) }
      try await add(try webhook(1), to: store)
      try await add(try webhook(2), to: store)
      try await add(try webhook(3), to: store)
      try await add(try webhook(4, of: bob), to: store)
      try await add(try webhook(5, of: carol), to: store)
      let change = Change(by: .system, at: noon)
      var failing = DeliveryProgress(after: .start)
      failing.failed(at: noon, jitter: 0)
      _ = try await store.recordDeliveries(
        [], of: try webhook(2), version: 1, progress: failing, change: change)
      var ended = DeliveryProgress(after: .start)
      ended.failed(at: noon, isGone: true, jitter: 0)
      _ = try await store.recordDeliveries([], of: try webhook(3), version: 1, progress: ended, change: change)

      func numbers(_ found: [DueWebhook]) -> [UInt64] { found.map(\.id.low).sorted() }
      let (before, after) = (noon.plus(seconds: 4), noon.plus(seconds: 5))
      #expect(numbers(try await store.dueWebhooks(of: [alice, carol], at: before)) == [1, 5])
      #expect(numbers(try await store.dueWebhooks(of: [alice], at: after)) == [1, 2])
      #expect(numbers(try await store.dueWebhooks(of: [], at: after)).isEmpty)
      let page = try await store.dueWebhooks(after: nil, at: before, limit: 2)
      #expect(page.map(\.id.low) == [1, 4] && page[1].clientID == bob)
      #expect(
        numbers(try await store.dueWebhooks(after: page[1].id, at: before, limit: 2)) == [5])
      #expect(numbers(try await store.webhooksToRetry(at: before, limit: 9)).isEmpty)
      #expect(numbers(try await store.webhooksToRetry(at: after, limit: 9)) == [2])
      #expect(try await store.webhookCounts() == WebhookCounts(failing: 1, disabled: 1))

      _ = try await store.deleteClient(alice)
      #expect(numbers(try await store.dueWebhooks(of: [alice, bob], at: after)) == [4])
      #expect(numbers(try await store.dueWebhooks(after: nil, at: after, limit: 9)) == [4, 5])
      #expect(numbers(try await store.webhooksToRetry(at: after, limit: 9)).isEmpty)
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `The webhooks of a deleted client go in steps, each with an event`(_ kind: StoreKind) async throws {
    try await withStore(kind) { store in
      try await store.insertClient(client("alice"))
      for number in 1...2 as ClosedRange<UInt64> {
        let webhook = try webhook(number)
        try await add(webhook, to: store)
        _ = try await store.recordDeliveries(
          (0..<50).map { delivery($0) }, of: webhook, version: 1, progress: webhook.progress, change: .at(noon))
      }
      _ = try await store.deleteClient(alice)
      #expect(try await store.clearDeletedClients(nil, maximumRows: 30) == 30)
      try await store.clearDeletedClients()
      #expect(try await store.webhook(WebhookID(high: 1, low: 1)) == nil)
      #expect(
        try await types(store) == [
          "client.created", "webhook.created", "webhook.created", "client.deleted", "webhook.deleted",
          "webhook.deleted",
        ])
    }
  }

  @Test(arguments: StoreKind.allCases)
  func `Secrets are sealed again with the first key`(_ kind: StoreKind) async throws {
    let database = try await TestDatabase(kind)
    let (old, new) = (testSealer(1), testSealer(2, 1))
    let (first, second) = (try webhook(1), try webhook(2))
    @Sendable func box(_ webhook: Webhook) -> [UInt8] {
      ([7, 8, 9] as [UInt8]).withUnsafeBufferPointer { old.seal($0, for: Webhook.secretPlace(webhook.id)) }
    }
    try await database.withStore(sealer: new) { (store) async throws in
      try await store.insertClient(client("alice"))
      for webhook in [first, second] {
        try await store.insertWebhook(webhook, sealedSecret: box(webhook), changes: [:], change: .at(noon))
      }
      #expect(try await store.sealingKeys(limit: 10) == Set(old.keys))
      #expect(try await store.sealWebhooks(after: nil, limit: 1) == first.id)
      #expect(try await store.sealWebhooks(after: first.id, limit: 9) == second.id)
      #expect(try await store.sealWebhooks(after: second.id, limit: 9) == nil)
      #expect(try await store.sealingKeys(limit: 10) == [new.keys[0]])
      for webhook in [first, second] {
        let found = try #require(try await store.webhook(webhook.id))
        let plain = try new.open(found.sealedSecret, of: Webhook.secretPlace(webhook.id)).withBytes(Array.init)
        #expect(plain == [7, 8, 9] && found.version == 1)
      }
    }
  }
}
