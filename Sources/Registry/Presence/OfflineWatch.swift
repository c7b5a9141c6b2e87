private import Synchronization

/// Records which devices are offline, in the one process that decides it.
///
/// A device is silent too while the registry is down. So nothing goes offline before devices had all of the time again to
/// send a request: after the process began to decide, after presence was not written, and after the process or its clock
/// stood still or was moved.
public final class OfflineWatch: Sendable {
  /// Devices that one statement looks at.
  public static let rowsPerStatement = 500
  /// Statements in a row. The next call continues.
  static let maximumSteps = 200
  /// Between two calls, and for presence to be written. What takes longer is an outage.
  static let maximumGapMilliseconds: Int64 = 10_000

  /// When it was called, on both clocks.
  private struct Call {
    let time: Timestamp
    let monotonicMilliseconds: Int64
  }

  private struct State {
    var last: Call?
    /// Since when devices could send requests, on the monotonic clock; nil while this process does not decide.
    var sinceMilliseconds: Int64?
  }

  private let state = Mutex(State())
  private let store: any RegistryStore
  private let live: LiveDevices
  private let observer: any RegistryObserver
  private let decides: @Sendable () -> Bool

  /// - Parameter decides: whether this process is the one that decides.
  public init(
    store: any RegistryStore, live: LiveDevices, observer: any RegistryObserver,
    decides: @escaping @Sendable () -> Bool
  ) {
    self.store = store
    self.live = live
    self.observer = observer
    self.decides = decides
  }

  /// Called about once a second.
  public func record(at time: Timestamp) async throws(RegistryError) {
    guard isReliable(at: time) else { return }
    let change = Change(by: .system, at: time)
    do throws(RegistryError) {
      for _ in 0..<Self.maximumSteps {
        let step = try await store.recordOffline(
          maximumRows: Self.rowsPerStatement, offlineAfterMilliseconds: live.offlineAfterMilliseconds,
          change: change)
        for device in step.offline {
          observer.changed(RegistryEvent(.deviceOffline, by: change, of: device.clientID, device: device.id))
        }
        if step.rows < Self.rowsPerStatement { return }
      }
    } catch {
      state.withLock { $0.sinceMilliseconds = nil }
      throw error
    }
  }

  /// Whether a device that sent no request for the time is offline.
  private func isReliable(at time: Timestamp) -> Bool {
    let now = live.monotonicMilliseconds()
    let isWritten = live.presenceLagMilliseconds <= Self.maximumGapMilliseconds
    let decides = decides()
    return state.withLock { state in
      defer { state.last = Call(time: time, monotonicMilliseconds: now) }
      guard decides, isWritten else {
        state.sinceMilliseconds = nil
        return false
      }
      let hasGap =
        state.last.map { last in
          let passed = now - last.monotonicMilliseconds
          return passed > Self.maximumGapMilliseconds
            || abs(time - last.time - passed) > Self.maximumGapMilliseconds
        } ?? true
      guard !hasGap, let since = state.sinceMilliseconds else {
        state.sinceMilliseconds = now
        return false
      }
      return now - since >= live.offlineAfterMilliseconds
    }
  }
}
