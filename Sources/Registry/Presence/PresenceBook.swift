private import Synchronization

/// Collects the presence of devices, and what they did, until it is written, so that a poll costs no write. All loops share
/// it.
final class PresenceBook: Sendable {
  /// Devices between two writes. What further devices do is dropped.
  static let maximumDevices = 1_000_000
  /// Hours of devices, beside the current hour of each, between two writes. What happens in further ones is dropped.
  static let maximumHours = 1_000_000
  /// Devices that one statement writes.
  static let maximumPerStatement = 2000

  /// What a device did since the last write. Kept small: a poll looks it up.
  private struct Entry {
    let clientID: ClientID
    var presence: Presence
    /// The hour of `polls`.
    var hour: Timestamp
    var polls: Int32
  }

  private struct HourOfDevice: Hashable {
    let id: DeviceID
    let hour: Timestamp
  }

  private struct Book {
    var gathered: [DeviceID: Entry] = [:]
    /// What polls alone do not count, and the polls of hours that have ended.
    var counted: [HourOfDevice: (clientID: ClientID, counts: DeviceStatistics)] = [:]
    /// When the first of `gathered` was noted, on the monotonic clock.
    var oldestMilliseconds: Int64?
    /// The same time for the presence that is being written.
    var oldestTakenMilliseconds: Int64?

    mutating func count(
      _ id: DeviceID, of client: ClientID, in hour: Timestamp, _ body: (inout DeviceStatistics) -> Void
    ) {
      let key = HourOfDevice(id: id, hour: hour)
      guard counted[key] != nil || counted.count < maximumHours else { return }
      body(&counted[key, default: (client, DeviceStatistics())].counts)
    }

    mutating func note(_ act: Act, by id: DeviceID, of client: ClientID, at time: Timestamp) {
      guard let index = gathered.index(forKey: id) else {
        guard gathered.count < maximumDevices else { return }
        gathered[id] = Entry(
          clientID: client, presence: act.presence(at: time), hour: StatisticsStep.hour.start(of: time),
          polls: act.isPoll ? 1 : 0)
        return
      }
      gathered.values[index].presence.move(to: act.presence(at: time))
      guard act.isPoll else { return }
      let hour = StatisticsStep.hour.start(of: time)
      if gathered.values[index].hour != hour {
        let ended = gathered.values[index]
        if ended.polls > 0 { count(id, of: client, in: ended.hour) { $0.polls += Int64(ended.polls) } }
        gathered.values[index].hour = hour
        gathered.values[index].polls = 0
      }
      gathered.values[index].polls += 1
    }
  }

  private let book = Mutex(Book())
  private let monotonicMilliseconds: @Sendable () -> Int64

  init(monotonicMilliseconds: @escaping @Sendable () -> Int64) {
    self.monotonicMilliseconds = monotonicMilliseconds
  }

  var count: Int { book.withLock { $0.gathered.count } }

  /// Age of the oldest presence that is not written yet; 0 if there is none.
  var lagMilliseconds: Int64 {
    let oldest = book.withLock { $0.oldestTakenMilliseconds ?? $0.oldestMilliseconds }
    return oldest.map { max(0, monotonicMilliseconds() - $0) } ?? 0
  }

  /// The kind of an authenticated request. Each request is noted once.
  enum Act {
    case called, polled(InstanceID?), acknowledged

    fileprivate var isPoll: Bool { if case .polled = self { true } else { false } }
  }

  func note(_ act: Act, by id: DeviceID, of client: ClientID, at time: Timestamp) {
    book.withLock { book in
      if book.oldestMilliseconds == nil { book.oldestMilliseconds = monotonicMilliseconds() }
      book.note(act, by: id, of: client, at: time)
    }
  }

  /// Counts what happens less often than polls.
  func count(
    _ id: DeviceID, of client: ClientID, at time: Timestamp, _ body: (inout DeviceStatistics) -> Void
  ) {
    book.withLock { $0.count(id, of: client, in: StatisticsStep.hour.start(of: time), body) }
  }

  /// Takes what to write now. Call `written` or `putBack` afterwards.
  func take() -> [ActiveDevice] {
    let (gathered, counted) = book.withLock { book in
      let taken = (book.gathered, book.counted)
      book.gathered = Dictionary(minimumCapacity: taken.0.count)
      book.counted = [:]
      book.oldestTakenMilliseconds = book.oldestMilliseconds
      book.oldestMilliseconds = nil
      return taken
    }
    var hours: [DeviceID: (clientID: ClientID, hours: [ActiveHour])] = [:]
    for (key, entry) in counted {
      hours[key.id, default: (entry.clientID, [])].hours.append(ActiveHour(key.hour, entry.counts))
    }
    var devices = gathered.map { id, entry in
      ActiveDevice(
        id: id, clientID: entry.clientID, presence: entry.presence,
        hours: Self.hours(of: entry, and: hours.removeValue(forKey: id)?.hours ?? []))
    }
    for (id, entry) in hours {
      devices.append(ActiveDevice(id: id, clientID: entry.clientID, presence: nil, hours: entry.hours))
    }
    return devices
  }

  private static func hours(of entry: Entry, and hours: [ActiveHour]) -> [ActiveHour] {
    guard entry.polls > 0 else { return hours }
    var (all, polls) = (hours, DeviceStatistics())
    polls.polls = Int64(entry.polls)
    if let index = all.firstIndex(where: { $0.hour == entry.hour }) {
      all[index].counts.add(polls)
    } else {
      all.append(ActiveHour(entry.hour, polls))
    }
    return all
  }

  /// What `take` returned has been written.
  func written() { book.withLock { $0.oldestTakenMilliseconds = nil } }

  /// Keeps what could not be written, except for presence where newer presence was noted meanwhile.
  func putBack(_ devices: some Collection<ActiveDevice>) {
    book.withLock { book in
      book.oldestMilliseconds = book.oldestTakenMilliseconds ?? book.oldestMilliseconds
      book.oldestTakenMilliseconds = nil
      for device in devices {
        for hour in device.hours {
          book.count(device.id, of: device.clientID, in: hour.hour) { $0.add(hour.counts) }
        }
        guard let presence = device.presence else { continue }
        if let index = book.gathered.index(forKey: device.id) {
          var older = presence
          older.move(to: book.gathered.values[index].presence)
          book.gathered.values[index].presence = older
        } else if book.gathered.count < Self.maximumDevices {
          book.gathered[device.id] = Entry(
            clientID: device.clientID, presence: presence,
            hour: StatisticsStep.hour.start(of: presence.lastSeen), polls: 0)
        }
      }
    }
  }
}

extension PresenceBook.Act {
  fileprivate func presence(at time: Timestamp) -> Presence {
    switch self {
    case .called: Presence(lastSeen: time)
    case .polled(let instance): Presence(lastSeen: time, lastPoll: time, instance: instance)
    case .acknowledged: Presence(lastSeen: time, lastAck: time)
    }
  }
}

extension Presence {
  /// Keeps the newer of each pair of times.
  fileprivate mutating func move(to other: Presence) {
    lastSeen = max(lastSeen, other.lastSeen)
    lastPoll = Self.later(lastPoll, other.lastPoll)
    lastAck = Self.later(lastAck, other.lastAck)
    instance = other.instance ?? instance
  }

  private static func later(_ time: Timestamp?, _ other: Timestamp?) -> Timestamp? {
    guard let time, let other else { return time ?? other }
    return max(time, other)
  }
}
