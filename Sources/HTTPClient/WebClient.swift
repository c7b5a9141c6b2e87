internal import CCurl
public import Encoding
public import EventLoop

/// Sends HTTP requests with libcurl on an event loop.
///
/// It verifies certificates, follows no redirects, ignores proxy variables of the environment, and opens a connection
/// for each request that does not ask to keep it.
///
/// `@unchecked Sendable`: all mutable state is confined to `loop`. `fetch` and `close` switch to it; libcurl's
/// callbacks run inside calls on it.
public final class WebClient: @unchecked Sendable {
  /// Concurrent requests of a client that is made without another maximum. Further ones are refused.
  public static let maximumTransfers = 16
  /// Maximum bytes of an answer's header section.
  public static let maximumHeaderLength = 64 * 1024
  /// How long libcurl caches the trusted certificates. A replaced file takes effect after that.
  static let certificateCacheSeconds = 60

  private let loop: EventLoop
  private let maximumTransfers: Int
  private let isAllowed: @Sendable (_ address: IPAddress) -> Bool
  /// Nil once the client is closed.
  private var multi: UnsafeMutableRawPointer?
  private let timer: Timer
  private var watches: [curl_socket_t: DescriptorWatch] = [:]
  private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]

  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  /// Makes a client, which the caller must close. Called on the loop.
  ///
  /// - Parameters:
  ///   - maximumTransfers: concurrent requests, and connections that are kept.
  ///   - isAllowed: whether the client may connect to an address. Called on the loop for each address that it tries,
  ///     after the look-up of the host's name: the connection is made to exactly this address.
  ///
  /// Throws `failed` when the system has no memory left.
  public init(
    on loop: EventLoop, maximumTransfers: Int = maximumTransfers,
    isAllowed: @escaping @Sendable (_ address: IPAddress) -> Bool = { _ in true }
  ) throws(FetchError) {
    guard Self.isReady, let multi = curl_multi_init() else { throw .failed(reason: "no libcurl") }
    self.loop = loop
    self.maximumTransfers = maximumTransfers
    self.isAllowed = isAllowed
    self.multi = multi
    timer = Timer(on: loop)
    curl_multi_set_number(multi, CURLMOPT_MAXCONNECTS, maximumTransfers)
    let me = Unmanaged.passUnretained(self).toOpaque()
    curl_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, me)
    curl_multi_set_socket_function(multi) { _, descriptor, what, client, _ in
      WebClient.of(client).watch(descriptor, for: what)
      return 0
    }
    curl_multi_set_pointer(multi, CURLMOPT_TIMERDATA, me)
    curl_multi_set_timer_function(multi) { _, milliseconds, client in
      WebClient.of(client).wait(milliseconds: milliseconds)
      return 0
    }
  }

  /// Sends the request and waits for its answer. From any task; cancelling it ends the transfer.
  public func fetch(_ request: Request) async throws(FetchError) -> Answer {
    // Confined to the loop, on which `submit` runs its closures.
    nonisolated(unsafe) let transfer = try Transfer(request, isAllowed: isAllowed)
    let result: Result<Answer, FetchError> = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let isAccepted = loop.submit { [self] in
          transfer.begin { continuation.resume(returning: $0) }
          start(transfer)
        }
        if !isAccepted { continuation.resume(returning: .failure(.closed)) }
      }
    } onCancel: {
      loop.submit { [self] in end(transfer, .failure(.cancelled)) }
    }
    return try result.get()
  }

  /// Ends all transfers. From any task; the loop must run until this returns.
  public func close() async {
    await loop.run { [self] in
      for transfer in transfers.values { end(transfer, .failure(.closed)) }
      curl_multi_cleanup(multi)
      multi = nil
      timer.close()
    }
  }

  // MARK: Transfers

  private func start(_ transfer: Transfer) {
    guard !transfer.hasEnded else { return }
    guard let multi else { return transfer.end(.failure(.closed)) }
    guard transfers.count < maximumTransfers else { return transfer.end(.failure(.tooManyTransfers)) }
    transfers[transfer.curl] = transfer
    let status = transfer.configure()
    guard status == CURLE_OK else { return end(transfer, transfer.result(status)) }
    // libcurl sets the timer; the transfer starts when it fires.
    curl_multi_add_handle(multi, transfer.curl)
  }

  private func end(_ transfer: Transfer, _ result: Result<Answer, FetchError>) {
    if transfers.removeValue(forKey: transfer.curl) != nil { curl_multi_remove_handle(multi, transfer.curl) }
    transfer.end(result)
  }

  // MARK: libcurl calls

  private static func of(_ data: UnsafeMutableRawPointer?) -> WebClient {
    Unmanaged<WebClient>.fromOpaque(data!).takeUnretainedValue()
  }

  /// If the system cannot watch the descriptor, the transfer times out.
  private func watch(_ descriptor: curl_socket_t, for what: Int32) {
    guard what != CURL_POLL_REMOVE else {
      watches.removeValue(forKey: descriptor)?.close()
      return
    }
    var interest: DescriptorWatch.Readiness = []
    if what & CURL_POLL_IN != 0 { interest.insert(.readable) }
    if what & CURL_POLL_OUT != 0 { interest.insert(.writable) }
    if let watch = watches[descriptor] { return watch.change(to: interest) }
    guard let watch = try? DescriptorWatch(descriptor, on: loop) else { return }
    watches[descriptor] = watch
    watch.start(for: interest) { [unowned self] readiness in
      var events: Int32 = 0
      if readiness.contains(.readable) { events |= CURL_CSELECT_IN }
      if readiness.contains(.writable) { events |= CURL_CSELECT_OUT }
      act(on: descriptor, events)
    }
  }

  private func wait(milliseconds: Int) {
    guard milliseconds >= 0 else { return timer.stop() }
    timer.start(afterMilliseconds: milliseconds) { [unowned self] in act(on: CURL_SOCKET_TIMEOUT, 0) }
  }

  // MARK: The loop calls

  private func act(on descriptor: curl_socket_t, _ events: Int32) {
    var running: Int32 = 0
    curl_multi_socket_action(multi, descriptor, events, &running)
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left)?.pointee {
      guard message.msg == CURLMSG_DONE, let transfer = transfers[message.easy_handle] else { continue }
      end(transfer, transfer.result(message.data.result))
    }
  }
}
