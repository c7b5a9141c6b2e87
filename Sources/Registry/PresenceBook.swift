private import Synchronization

/// When devices were last there, gathered until it is written: a poll must not cost a write.
final class PresenceBook: Sendable {
  /// Devices between two writes. What further ones do is not noted: presence is the only thing that is lost.
  static let maximumDevices = 1_000_000

  private let gathered = Mutex<[DeviceID: Presence]>([:])

  /// What a device did, beside proving itself. Each request is noted once.
  enum Act { case called, polled, acknowledged }

  var count: Int { gathered.withLock { $0.count } }

  func note(_ act: Act, by id: DeviceID, at time: Timestamp) {
    gathered.withLock { gathered in
      guard gathered[id] != nil || gathered.count < Self.maximumDevices else { return }
      gathered[id, default: Presence(lastSeen: time)].move(to: act.presence(at: time))
    }
  }

  func take() -> [DeviceID: Presence] {
    gathered.withLock { gathered in
      let taken = gathered
      gathered = Dictionary(minimumCapacity: taken.count)
      return taken
    }
  }

  /// What could not be written, unless something newer is known by now.
  func putBack(_ presence: [DeviceID: Presence]) {
    gathered.withLock { gathered in
      gathered.merge(presence) { newer, older in
        var presence = older
        presence.move(to: newer)
        return presence
      }
    }
  }
}

extension PresenceBook.Act {
  fileprivate func presence(at time: Timestamp) -> Presence {
    switch self {
    case .called: Presence(lastSeen: time)
    case .polled: Presence(lastSeen: time, lastPoll: time)
    case .acknowledged: Presence(lastSeen: time, lastAck: time)
    }
  }
}

extension Presence {
  /// Takes what is newer.
  fileprivate mutating func move(to other: Presence) {
    lastSeen = max(lastSeen, other.lastSeen)
    lastPoll = [lastPoll, other.lastPoll].compactMap(\.self).max()
    lastAck = [lastAck, other.lastAck].compactMap(\.self).max()
  }
}
