internal import EventLoop
internal import Glibc

/// What the system asks of the service, from the moment that this is made: SIGHUP to read its files again, SIGTERM and
/// SIGINT to end. A second one of these two ends the process at once.
///
/// `@unchecked Sendable`: all mutable state is confined to `loop`.
final class ServiceSignals: @unchecked Sendable {
  /// Yields for SIGHUP, once for all that arrive before the element is read. SIGTERM and SIGINT finish it.
  let reloads: AsyncStream<Void>
  private let loop: EventLoop
  private var endWatches: [SignalWatch] = []
  private var reloadWatch: SignalWatch?

  init() async throws {
    let (stream, reload) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    reloads = stream
    loop = try EventLoop(name: "signals")
    await loop.run { [self] in
      endWatches = [SIGTERM, SIGINT].map { signal in
        SignalWatch(signal, on: loop) { [unowned self] in
          stopWatchingForTheEnd()
          reload.finish()
        }
      }
      reloadWatch = SignalWatch(SIGHUP, on: loop) { reload.yield() }
    }
  }

  /// Restores the system's handling of the signals.
  func close() {
    loop.submit { [self] in
      stopWatchingForTheEnd()
      reloadWatch?.close()
      reloadWatch = nil
    }
    loop.stop()
  }

  private func stopWatchingForTheEnd() {
    for watch in endWatches { watch.close() }
    endWatches = []
  }
}
