internal import EventLoop
internal import Glibc

/// SIGTERM and SIGINT, from the moment that this is made. A second one, once the first was heard, ends the process
/// at once.
///
/// `@unchecked Sendable`: everything mutable is touched on `loop` alone.
final class EndSignals: @unchecked Sendable {
  private let loop: EventLoop
  private var watches: [SignalWatch] = []
  private var isHeard = false
  private var waiting: UnsafeContinuation<Void, Never>?

  init() async throws {
    loop = try EventLoop(name: "signals")
    await loop.run { [self] in
      watches = [SIGTERM, SIGINT].map { signal in
        SignalWatch(signal, on: loop) { [unowned self] in hear() }
      }
    }
  }

  /// Waits for the first of them.
  func wait() async {
    await loop.run { [self] in
      if !isHeard { await withUnsafeContinuation { waiting = $0 } }
    }
  }

  /// Leaves the signals to the system again.
  func close() {
    loop.submit { [self] in stopWatching() }
    loop.stop()
  }

  private func hear() {
    isHeard = true
    stopWatching()
    waiting?.resume()
    waiting = nil
  }

  private func stopWatching() {
    for watch in watches { watch.close() }
    watches = []
  }
}
