private import Synchronization

/// A device's statement that it obeys a version of its trading mode.
public struct ModeConfirmation: Hashable, Sendable {
  public let deviceID: DeviceID
  public let clientID: ClientID
  public let version: Int64
  public let change: Change

  public init(deviceID: DeviceID, clientID: ClientID, version: Int64, change: Change) {
    self.deviceID = deviceID
    self.clientID = clientID
    self.version = version
    self.change = change
  }
}

/// Writes the confirmations of trading modes together: those that arrive during a write share the next one, in turn over
/// clients. After a halt, thousands of devices confirm at once. All loops share it.
final class ModeConfirmations: Sendable {
  /// Confirmations that one statement writes.
  static let maximumPerWrite = 500
  /// Confirmations that wait. More are not stored; the devices repeat them.
  static let maximumWaiting = 65_536

  /// What a confirmation does after it has waited.
  private enum Turn: Sendable {
    /// Write this one and others.
    case write
    /// Another one wrote it; nil if it was not stored, false if it was stored before.
    case written(isNew: Bool?)
  }

  private struct Waiting {
    let confirmation: ModeConfirmation
    let continuation: UnsafeContinuation<Turn, Never>
  }

  private struct Queue {
    var isWriting = false
    var count = 0
    var byClient: [ClientID: [Waiting]] = [:]
    /// Clients with waiting confirmations; the first is next.
    var order: [ClientID] = []

    mutating func append(_ waiting: Waiting) {
      let client = waiting.confirmation.clientID
      if byClient[client] == nil { order.append(client) }
      byClient[client, default: []].append(waiting)
      count += 1
    }

    /// Takes at most `maximum`, one of each client in turn.
    mutating func take(_ maximum: Int) -> [Waiting] {
      var taken: [Waiting] = []
      while taken.count < maximum, !order.isEmpty {
        var next: [ClientID] = []
        for client in order {
          guard taken.count < maximum, let waiting = byClient[client]?.popLast() else {
            next.append(client)
            continue
          }
          taken.append(waiting)
          if byClient[client]?.isEmpty == false { next.append(client) } else { byClient[client] = nil }
        }
        order = next
      }
      count -= taken.count
      return taken
    }
  }

  private let queue = Mutex(Queue())

  /// Stores the confirmation. Nil if it was not stored: the version is not the current one, or the database failed.
  /// False if it was stored before.
  func confirm(_ confirmation: ModeConfirmation, in store: any RegistryStore) async -> Bool? {
    let turn: Turn = await withUnsafeContinuation { continuation in
      let turn = queue.withLock { queue -> Turn? in
        guard queue.isWriting else {
          queue.isWriting = true
          return .write
        }
        guard queue.count < Self.maximumWaiting else { return .written(isNew: nil) }
        queue.append(Waiting(confirmation: confirmation, continuation: continuation))
        return nil
      }
      if let turn { continuation.resume(returning: turn) }
    }
    switch turn {
    case .written(let isNew): return isNew
    case .write: return await write(confirmation, in: store)
    }
  }

  private func write(_ confirmation: ModeConfirmation, in store: any RegistryStore) async -> Bool? {
    let others = queue.withLock { $0.take(Self.maximumPerWrite - 1) }
    let stored = await outcome(of: [confirmation] + others.map(\.confirmation), in: store)
    for other in others {
      other.continuation.resume(returning: .written(isNew: stored[other.confirmation.deviceID]))
    }
    let next = queue.withLock { queue -> Waiting? in
      let next = queue.take(1).first
      queue.isWriting = next != nil
      return next
    }
    next?.continuation.resume(returning: .write)
    return stored[confirmation.deviceID]
  }

  private func outcome(
    of confirmations: [ModeConfirmation], in store: any RegistryStore
  ) async -> [DeviceID: Bool] {
    do throws(RegistryError) { return try await store.confirmModes(confirmations) } catch { return [:] }
  }
}
