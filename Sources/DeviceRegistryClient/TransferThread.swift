internal import CCurl
internal import Glibc
internal import Synchronization

/// Runs transfers with libcurl on a separate thread, and keeps their connections for later ones.
///
/// `@unchecked Sendable`: the queue has a mutex, and the thread is set once; everything else is confined to the thread,
/// which runs what is submitted.
final class TransferThread: @unchecked Sendable {
  /// Connections to the registry, in use or idle. Further transfers wait for one.
  static let maximumConnections = 6
  /// How long the thread sleeps when nothing happens.
  private static let longestSleepMilliseconds: Int32 = 60_000

  private struct Queue {
    var actions: [@Sendable () -> Void] = []
    var isClosed = false
  }

  private let multi: UnsafeMutableRawPointer
  private var thread = pthread_t()
  private let queue = Mutex(Queue())
  private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]

  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  /// Starts the thread, which the caller must close. Throws `unreachable` if the system has no memory left.
  init() throws(RegistryClientError) {
    guard Self.isReady, let multi = curl_multi_init() else { throw .unreachable("no libcurl") }
    self.multi = multi
    curl_multi_set_number(multi, CURLMOPT_MAX_HOST_CONNECTIONS, Self.maximumConnections)
    curl_multi_set_number(multi, CURLMOPT_MAXCONNECTS, Self.maximumConnections)
    let me = Unmanaged.passRetained(self)
    let status = pthread_create(
      &thread, nil,
      { thread in
        Unmanaged<TransferThread>.fromOpaque(thread!).takeRetainedValue().work()
        return nil
      }, me.toOpaque())
    guard status == 0 else {
      me.release()
      curl_multi_cleanup(multi)
      throw .unreachable("no thread: \(String(cString: strerror(status)))")
    }
  }

  /// Closes the connections and waits for the end of the thread. No transfer may be in progress.
  func close() {
    queue.withLock { $0.isClosed = true }
    curl_multi_wakeup(multi)
    pthread_join(thread, nil)
  }

  /// Runs the transfer to its end. Cancelling the task abandons it.
  func run(_ transfer: Transfer) async -> Transfer.Outcome {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        submit { [self] in start(transfer, continuation) }
      }
    } onCancel: {
      abandon(transfer, because: .cancelled)
    }
  }

  /// Ends the transfer with this error, unless it has ended.
  func abandon(_ transfer: Transfer, because reason: RegistryClientError) {
    submit { [self] in end(transfer, .failure(reason)) }
  }

  private func submit(_ action: @escaping @Sendable () -> Void) {
    queue.withLock { queue in
      // The thread may have ended.
      guard !queue.isClosed else { return }
      queue.actions.append(action)
      curl_multi_wakeup(multi)
    }
  }

  // MARK: On the thread

  private func work() {
    // Signals are for the threads of the program. A write to a closed connection must not end it with SIGPIPE.
    var all = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, nil)
    while true {
      let (actions, isClosed) = queue.withLock { queue in
        defer { queue.actions = [] }
        return (queue.actions, queue.isClosed)
      }
      for action in actions { action() }
      guard !isClosed else { break }
      var running: Int32 = 0
      curl_multi_perform(multi, &running)
      endCompleted()
      curl_multi_poll(multi, nil, 0, Self.longestSleepMilliseconds, nil)
    }
    curl_multi_cleanup(multi)
  }

  private func start(_ transfer: Transfer, _ continuation: CheckedContinuation<Transfer.Outcome, Never>) {
    guard transfer.begin(continuation) else { return }
    transfers[transfer.curl] = transfer
    curl_multi_add_handle(multi, transfer.curl)
  }

  private func end(_ transfer: Transfer, _ outcome: Transfer.Outcome) {
    if transfers.removeValue(forKey: transfer.curl) != nil { curl_multi_remove_handle(multi, transfer.curl) }
    transfer.end(outcome)
  }

  private func endCompleted() {
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left)?.pointee {
      guard message.msg == CURLMSG_DONE, let transfer = transfers[message.easy_handle] else { continue }
      end(transfer, transfer.outcome(message.data.result))
    }
  }
}
