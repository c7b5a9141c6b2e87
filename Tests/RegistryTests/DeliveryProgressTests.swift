import Testing

@testable import Registry

@Suite("The progress of deliveries")
struct DeliveryProgressTests {
  private let noon = Timestamp(millisecondsSince1970: 1_770_000_000_000)
  private func position(_ sequence: Int64) -> EventPosition {
    EventPosition(epoch: 1, transaction: 1, sequence: sequence)
  }

  @Test
  func `retries after 5 s, 30 s, 2 min, 10 min, 1 h, then hourly for three days, and then ends`() {
    var progress = DeliveryProgress(after: position(1))
    var delays: [Int64] = []
    while progress.isEnabled {
      progress.failed(at: noon, jitter: 0)
      if let next = progress.nextAttemptAt { delays.append((next - noon) / 1000) }
    }
    #expect(delays == [5, 30, 120, 600, 3600] + Array(repeating: 3600, count: 72))
    #expect(progress.end == DeliveryProgress.End(time: noon, cause: .failing))
    #expect(progress.nextAttemptAt == nil && progress.failures == 78 && progress.failingSince == noon)
    #expect(progress.position == position(1))
  }

  @Test(arguments: [(0.0, 5000), (0.5, 5250), (0.999_999, 5499)])
  func `never retries early, and up to a tenth of the delay later`(jitter: Double, milliseconds: Int64) {
    var progress = DeliveryProgress(after: position(1))
    progress.failed(at: noon, jitter: jitter)
    #expect(progress.nextAttemptAt == noon + milliseconds)
  }

  @Test
  func `knows since when it fails, and forgets that with a success`() {
    var progress = DeliveryProgress(after: position(1))
    progress.failed(at: noon, jitter: 0)
    progress.failed(at: noon + 5000, jitter: 0)
    #expect(progress.failingSince == noon && progress.failures == 2)
    progress.succeeded(through: position(2))
    #expect(progress == DeliveryProgress(after: position(2)))
  }

  @Test
  func `ends at once when the receiver is gone`() {
    var progress = DeliveryProgress(after: position(1))
    progress.failed(at: noon, isGone: true, jitter: 0)
    #expect(progress.end == DeliveryProgress.End(time: noon, cause: .gone) && progress.nextAttemptAt == nil)
  }

  @Test
  func `continues where it ended when its owner enables it`() {
    var progress = DeliveryProgress(after: position(7))
    progress.failed(at: noon, jitter: 0)
    progress.disable(at: noon)
    #expect(progress.end?.cause == .owner && progress.nextAttemptAt == nil && progress.failures == 1)
    let ended = progress
    progress.disable(at: noon + 1)
    #expect(progress == ended)
    progress.restart()
    #expect(progress == DeliveryProgress(after: position(7)))
  }

  @Test
  func `goes back, and never forward`() {
    var progress = DeliveryProgress(after: position(7))
    progress.goBack(to: position(9))
    #expect(progress.position == position(7))
    progress.goBack(to: position(3))
    #expect(progress.position == position(3))
  }
}

@Suite("A webhook's values")
struct WebhookValueTests {
  @Test(arguments: [
    "https://example.com", "https://example.com/", "HTTPS://example.com/a?b=c&d=%20",
    "https://example.com:8443/x",
    "https://192.0.2.1/hook", "https://[2001:db8::1]:9000/hook", "https://a_b.example?q",
    "http://localhost:9000/",
  ])
  func `A URL names a host, and what follows`(text: String) throws {
    let url = try WebhookURL(text)
    #expect(url.text.lowercased() == text.lowercased())
    #expect(url.text.hasPrefix("http"))
  }

  @Test(arguments: [
    "", "https", "https:", "https:/example.com", "https://", "https:///path", "ftp://example.com",
    "file:///etc/passwd",
    "https://user@example.com/", "https://user:password@example.com/", "https://example.com/#fragment",
    "https://example.com\\@evil.example/", "https://exa mple.com/", "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:/", "https://example.com:8o/", "https://[::1", "https://[::1]x/", "https://[example]/",
    "https://exämple.com/", "https://example.com/\n", "javascript:alert(1)",
  ])
  func `Any other text is no URL of a webhook`(text: String) {
    #expect(throws: RegistryError.self) { try WebhookURL(text) }
  }

  @Test
  func `A URL has a maximum length`() throws {
    let start = "https://example.com/"
    _ = try WebhookURL(start + String(repeating: "a", count: WebhookURL.maximumLength - start.count))
    #expect(throws: RegistryError.self) {
      try WebhookURL(start + String(repeating: "a", count: WebhookURL.maximumLength - start.count + 1))
    }
  }

  @Test
  func `Patterns match types, each once`() throws {
    let patterns = try #require(EventPatterns(["webhook.*", "device.revoked", "webhook.created"]))
    #expect(EventPatterns(stored: patterns.text) == patterns)
    #expect(
      Set(patterns.types) == [
        "webhook.created", "webhook.updated", "webhook.deleted", "webhook.disabled", "device.revoked",
      ])
    #expect(patterns.types.count == Set(patterns.types).count)
    for wrong in [[], ["device"], ["device.nothing"], ["*"], Array(repeating: "device.*", count: 65)] {
      #expect(EventPatterns(wrong) == nil)
    }
  }

  @Test
  func `An answer is kept as text, and only its beginning`() {
    let long = DeliveryOutcome(status: 500, content: Array(repeating: UInt8(ascii: "a"), count: 500))
    #expect(long.excerpt?.utf8.count == DeliveryOutcome.maximumExcerptBytes)
    let bytes = DeliveryOutcome(status: 200, content: [0, 0xFF, UInt8(ascii: "b")])
    #expect(bytes.excerpt == "\u{FFFD}b" && bytes.isSuccess)
    for (status, isSuccess) in [(199, false), (200, true), (299, true), (302, false), (410, false)] {
      #expect(DeliveryOutcome(status: status, content: []).isSuccess == isSuccess)
    }
  }

  @Test
  func `The clients with events are bounded, and none is forgotten silently`() {
    let recorded = RecordedClients()
    for number in 0..<RecordedClients.maximum { recorded.note(ClientID("c\(number)")!) }
    let first = recorded.take(atMost: 1)
    #expect(first.clients.count == 1 && first.isComplete)
    recorded.note(ClientID("late")!)
    recorded.note(ClientID("later")!)
    let (taken, isComplete) = recorded.take(atMost: .max)
    #expect(taken.count == RecordedClients.maximum && !isComplete)
    #expect(recorded.take(atMost: .max).isComplete)
  }
}
