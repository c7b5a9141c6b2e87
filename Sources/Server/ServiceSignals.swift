internal import EventLoop
internal import Glibc

/// What the system tells the service, from the moment that this is made: SIGHUP to read its files anew, SIGTERM and
/// SIGINT to end. One of these two that comes once the first was heard ends the process at once.
///
/// `@unchecked Sendable`: everything mutable is touched on `loop` alone.
final class ServiceSignals: @unchecked Sendable {
  enum Order {
    /// However often it was asked for since the last time.
    case reload
    case end
  }

  private let loop: EventLoop
  private var endWatches: [SignalWatch] = []
  private var reloadWatch: SignalWatch?
  private var isEnding = false
  private var isReloadDue = false
  private var waiting: UnsafeContinuation<Void, Never>?

  init() async throws {
    loop = try EventLoop(name: "signals")
    await loop.run { [self] in
      endWatches = [SIGTERM, SIGINT].map { signal in
        SignalWatch(signal, on: loop) { [unowned self] in
          isEnding = true
          stopWatchingForTheEnd()
          tell()
        }
      }
      reloadWatch = SignalWatch(SIGHUP, on: loop) { [unowned self] in
        isReloadDue = true
        tell()
      }
    }
  }

  /// Waits for the next of them.
  func next() async -> Order {
    await loop.run { [self] in
      if !isEnding, !isReloadDue { await withUnsafeContinuation { waiting = $0 } }
      if isEnding { return .end }
      isReloadDue = false
      return .reload
    }
  }

  /// Leaves the signals to the system again.
  func close() {
    loop.submit { [self] in
      stopWatchingForTheEnd()
      reloadWatch?.close()
      reloadWatch = nil
    }
    loop.stop()
  }

  private func tell() {
    waiting?.resume()
    waiting = nil
  }

  private func stopWatchingForTheEnd() {
    for watch in endWatches { watch.close() }
    endWatches = []
  }
}
