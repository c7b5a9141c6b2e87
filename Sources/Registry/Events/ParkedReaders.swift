private import Synchronization

/// The requests that wait for events of their client: a bounded number, of each client and in all. All loops share it.
public final class ParkedReaders: Sendable {
  public static let maximumPerClient = 64
  static let maximum = 10_000

  /// Why a reader resumes.
  enum Wake: Sendable {
    /// The client may have new events.
    case changed
    case timedOut
    /// The service stops, or the reader's client disconnected.
    case ended
  }

  private struct Places {
    var byClient: [ClientID: [ObjectIdentifier: Reader]] = [:]
    var count = 0
    var isClosed = false
  }
  private let places = Mutex(Places())

  /// One request. A wake-up that arrives before it waits is kept, so none is lost between its query and its wait.
  final class Reader: Sendable {
    fileprivate let client: ClientID
    private let state = Mutex(State())

    private struct State {
      var hasChanged = false
      var isEnded = false
      var deadlineMilliseconds = Int64.max
      var waiting: UnsafeContinuation<Wake, Never>?
    }

    fileprivate init(_ client: ClientID) { self.client = client }

    /// Waits for a wake-up, until `deadlineMilliseconds` (monotonic), or until the client disconnects.
    func wait(untilMilliseconds deadlineMilliseconds: Int64) async -> Wake {
      await withTaskCancellationHandler {
        await withUnsafeContinuation { continuation in
          let wake = state.withLock { state -> Wake? in
            if state.isEnded { return .ended }
            if state.hasChanged {
              state.hasChanged = false
              return .changed
            }
            state.deadlineMilliseconds = deadlineMilliseconds
            state.waiting = continuation
            return nil
          }
          if let wake { continuation.resume(returning: wake) }
        }
      } onCancel: {
        wake(.ended)
      }
    }

    fileprivate func wake(_ wake: Wake) {
      let waiting = state.withLock { state in
        defer { state.waiting = nil }
        switch wake {
        case .ended: state.isEnded = true
        case .changed: state.hasChanged = state.waiting == nil
        case .timedOut: break
        }
        return state.waiting
      }
      waiting?.resume(returning: wake)
    }

    fileprivate func isOverdue(nowMilliseconds now: Int64) -> Bool {
      state.withLock { $0.waiting != nil && $0.deadlineMilliseconds <= now }
    }
  }

  /// Requests that wait now.
  public var count: Int { places.withLock { $0.count } }

  /// A place for a request; nil if all are taken, those of the client or all, or if the service stops.
  func takePlace(of client: ClientID) -> Reader? {
    let reader = Reader(client)
    return places.withLock { places in
      guard !places.isClosed, places.count < Self.maximum,
        places.byClient[client, default: [:]].count < Self.maximumPerClient
      else { return nil }
      places.byClient[client, default: [:]][ObjectIdentifier(reader)] = reader
      places.count += 1
      return reader
    }
  }

  func leave(_ reader: Reader) {
    places.withLock { places in
      guard places.byClient[reader.client]?.removeValue(forKey: ObjectIdentifier(reader)) != nil else { return }
      places.count -= 1
      if places.byClient[reader.client]?.isEmpty == true { places.byClient[reader.client] = nil }
    }
  }

  func wake(_ client: ClientID) {
    for reader in places.withLock({ $0.byClient[client].map { Array($0.values) } ?? [] }) {
      reader.wake(.changed)
    }
  }

  func wakeAll() { for reader in all { reader.wake(.changed) } }

  /// Ends the waits whose deadline has passed. Called some 20 times a second.
  func endOverdue(nowMilliseconds now: Int64) {
    for reader in all where reader.isOverdue(nowMilliseconds: now) { reader.wake(.timedOut) }
  }

  /// Ends all waits because the service stops, and parks no more.
  func close() {
    places.withLock { $0.isClosed = true }
    for reader in all { reader.wake(.ended) }
  }

  private var all: [Reader] { places.withLock { $0.byClient.values.flatMap(\.values) } }
}
