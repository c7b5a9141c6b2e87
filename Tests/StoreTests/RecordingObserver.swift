import Registry
import Synchronization

/// The calls to an observer, except `trust` and those on events.
struct Heard: Equatable {
  var changed: Set<DeviceID> = []
  var clients: Set<ClientID> = []
  /// The number of calls for each device.
  var arrived: [DeviceID: Int] = [:]
  /// Clients with signals for some of their devices.
  var sending: Set<ClientID> = []
  var missed = 0
}

/// An observer that records its calls.
final class RecordingObserver: ChangeObserver {
  /// Calls that concern all devices.
  enum Word { case missed, trusted, distrusted }

  private struct State {
    var heard = Heard()
    var recording: Set<ClientID> = []
    var trustedUntil: Int64 = 0
    var words: [Word] = []
    var trustBeforeLoss: Int64 = 0
  }
  private let state = Mutex(State())

  var heard: Heard { state.withLock { $0.heard } }
  /// Clients with new events.
  var recording: Set<ClientID> { state.withLock { $0.recording } }
  var trustedUntil: Int64 { state.withLock { $0.trustedUntil } }
  /// In order, without consecutive duplicates.
  var words: [Word] { state.withLock { $0.words } }
  /// The latest trust before the last call that ended it.
  var trustBeforeLoss: Int64 { state.withLock { $0.trustBeforeLoss } }

  func credentialsChanged(of id: DeviceID) { state.withLock { _ = $0.heard.changed.insert(id) } }
  func clientChanged(_ id: ClientID) { state.withLock { _ = $0.heard.clients.insert(id) } }
  func signalsArrived(for id: DeviceID) { state.withLock { $0.heard.arrived[id, default: 0] += 1 } }
  func signalsArrived(forDevicesOf client: ClientID) { state.withLock { _ = $0.heard.sending.insert(client) } }

  func eventsRecorded(of client: ClientID) { state.withLock { _ = $0.recording.insert(client) } }
  func eventsMissed() {}

  func changesMissed() {
    state.withLock { state in
      state.heard.missed += 1
      Self.note(.missed, in: &state)
    }
  }

  func trust(untilMilliseconds: Int64) {
    state.withLock { state in
      if untilMilliseconds == 0 { state.trustBeforeLoss = state.trustedUntil }
      state.trustedUntil = untilMilliseconds
      Self.note(untilMilliseconds == 0 ? .distrusted : .trusted, in: &state)
    }
  }

  private static func note(_ word: Word, in state: inout State) {
    if state.words.last != word { state.words.append(word) }
  }

  /// Returns the recorded calls, and clears them.
  func take() -> Heard {
    state.withLock { state in
      defer { state.heard = Heard() }
      return state.heard
    }
  }
}
