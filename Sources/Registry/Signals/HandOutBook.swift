private import Synchronization

/// That a poll's answer had a signal for the first time.
public struct HandOut: Hashable, Sendable {
  public let signalID: SignalID
  public let deviceID: DeviceID
  /// The client of the device.
  public let clientID: ClientID
  public let at: Timestamp

  public init(signalID: SignalID, deviceID: DeviceID, clientID: ClientID, at: Timestamp) {
    self.signalID = signalID
    self.deviceID = deviceID
    self.clientID = clientID
    self.at = at
  }
}

/// Collects which signals were handed out until that is written, so that a poll costs no write. All loops share it.
///
/// What a crash loses is noted again by the next poll, unless the device has acknowledged the signal.
final class HandOutBook: Sendable {
  /// Deliveries between two writes. More are not noted until a later poll.
  static let maximumCount = 1_000_000
  /// Deliveries that one statement writes.
  static let maximumPerStatement = 2000

  private struct Key: Hashable {
    let signalID: SignalID
    let deviceID: DeviceID
  }

  private let gathered = Mutex<[Key: HandOut]>([:])

  var count: Int { gathered.withLock { $0.count } }

  /// Notes the first time for each signal.
  func note(_ signals: [SignalID], to device: DeviceID, of client: ClientID, at time: Timestamp) {
    gathered.withLock { gathered in
      for signal in signals where gathered.count < Self.maximumCount {
        let key = Key(signalID: signal, deviceID: device)
        guard gathered[key] == nil else { continue }
        gathered[key] = HandOut(signalID: signal, deviceID: device, clientID: client, at: time)
      }
    }
  }

  /// Takes what is to be written now. Call `putBack` with what could not be written.
  func take() -> ArraySlice<HandOut> {
    gathered.withLock { gathered in
      guard !gathered.isEmpty else { return [] }
      let taken = Array(gathered.values)
      gathered = [:]
      return taken[...]
    }
  }

  func putBack(_ handOuts: ArraySlice<HandOut>) {
    gathered.withLock { gathered in
      for handOut in handOuts where gathered.count < Self.maximumCount {
        gathered[Key(signalID: handOut.signalID, deviceID: handOut.deviceID)] = handOut
      }
    }
  }
}
