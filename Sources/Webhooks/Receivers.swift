public import EventLoop
internal import HTTPClient
public import Registry

/// Posts events to the receivers of webhooks.
public final class Receivers: Sendable {
  /// From the start of an attempt until its answer is read.
  static let timeoutMilliseconds = 10_000
  static let connectTimeoutMilliseconds = 5000
  /// Bytes of an answer that are read.
  static let maximumAnswerBytes = 64 * 1024

  private let client: WebClient
  private let clock: any Clock
  private let options: ReceiverOptions

  /// Called on the loop. The caller closes it.
  ///
  /// - Parameter maximumConnections: attempts at a time, and connections that are kept.
  ///
  /// Throws `unavailable` when the system has no memory left.
  public init(
    on loop: EventLoop, maximumConnections: Int, clock: any Clock, options: ReceiverOptions
  ) throws(RegistryError) {
    let allowsPrivate = options.allowsPrivate
    do throws(FetchError) {
      client = try WebClient(on: loop, maximumTransfers: maximumConnections) { allowsPrivate || $0.isPublic }
    } catch {
      throw .unavailable(cause: error.description)
    }
    self.clock = clock
    self.options = options
  }

  /// Ends all attempts. From any task; the loop must run until this returns.
  public func close() async { await client.close() }

  /// Posts an event once. Nil if the task was cancelled, or the receivers were closed: the receiver may have got it.
  func post(_ event: RecordedEvent, to url: WebhookURL, secret: WebhookSecret, attempt: Int) async
    -> WebhookDelivery?
  {
    let (at, began) = (clock.now(), MonotonicClock.milliseconds)
    let body = options.encode(event)
    var request = WebClient.Request(url: url.text)
    request.method = .post(body: body)
    request.fields =
      [("Content-Type", "application/json"), ("User-Agent", "device-registry-webhooks")]
      + DeliverySignature.fields(id: event.id, at: at, body: body, secret: secret)
    request.certificateFile = options.certificateFile
    request.allowsPlainHTTP = options.allowsPrivate
    request.maximumBodyLength = Self.maximumAnswerBytes
    request.needsOnlyExcerpt = true
    request.keepsConnection = true
    request.connectTimeoutMilliseconds = Self.connectTimeoutMilliseconds
    request.totalTimeoutMilliseconds = Self.timeoutMilliseconds
    guard let outcome = await outcome(of: request) else { return nil }
    return WebhookDelivery(
      eventID: event.id, eventType: event.type, attempt: attempt, at: at,
      durationMilliseconds: Int(MonotonicClock.milliseconds - began), outcome: outcome)
  }

  private func outcome(of request: WebClient.Request) async -> DeliveryOutcome? {
    do throws(FetchError) {
      let answer = try await client.fetch(request)
      return DeliveryOutcome(status: answer.status, content: answer.body)
    } catch .cancelled, .closed {
      return nil
    } catch .addressRefused {
      return .unanswered(reason: "the host has no public address")
    } catch {
      return .unanswered(reason: String(error.description.prefix(DeliveryOutcome.maximumReasonBytes)))
    }
  }
}

/// How receivers are reached.
public struct ReceiverOptions: Sendable {
  /// Whether they may have private addresses and plain HTTP.
  let allowsPrivate: Bool
  /// PEM certificates to trust instead of the system's.
  let certificateFile: String?
  /// The JSON text of an event, as the feed has it.
  let encode: @Sendable (RecordedEvent) -> [UInt8]

  public init(
    allowsPrivate: Bool, certificateFile: String?, encode: @escaping @Sendable (RecordedEvent) -> [UInt8]
  ) {
    self.allowsPrivate = allowsPrivate
    self.certificateFile = certificateFile
    self.encode = encode
  }
}
