/// Stores signals and their deliveries.
public protocol SignalStore: Sendable {
  /// Stores a signal and a delivery for each of its first `step` devices, by id. If there are more,
  /// `continueSignal` stores the next ones: until the last delivery is stored, no operation shows the signal, and no device receives it.
  ///
  /// On an error, stores nothing. Throws, in this order, `clientNotFound`; `groupNotFound`; `deviceNotFound`, `notOwner`,
  /// `deviceRevoked` if true of any listed device; `tooManySignals` and `tooManyDeliveries` at the bounds.
  ///
  /// - Parameter step: deliveries that one statement stores, so that it delays no other write for long.
  func insertSignal(
    _ signal: Signal, to selector: DeviceSelector, bounds: SignalBounds, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress

  /// Stores the deliveries of the next `step` devices. Throws `unavailable` if the signal was
  /// removed meanwhile as abandoned.
  func continueSignal(
    _ signal: Signal, to selector: DeviceSelector, after progress: SignalProgress, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress

  /// At most `limit` of the client's signals after `cursor`, newest first, expired ones included.
  func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary]

  /// A signal, the number of devices that it was sent to, and when it was cancelled.
  func signal(
    _ id: SignalID
  ) async throws(RegistryError) -> (signal: Signal, devices: Int, cancelledAt: Timestamp?)?

  /// Cancels a signal, which no device receives from then on. False, without effect, if the client has no such signal, or
  /// it was cancelled before or has expired.
  func cancelSignal(_ id: SignalID, of owner: ClientID, change: Change) async throws(RegistryError) -> Bool

  /// Of the deliveries of a signal to the first `limit` devices after `cursor`, how many there are, and how many were
  /// acknowledged up to a time; and the last device.
  func countDeliveries(
    of id: SignalID, ackedUpTo time: Timestamp, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> (all: Int, acked: Int, last: DeviceID?)

  /// At most `limit` deliveries of a signal to devices after `cursor`, by device id. Deliveries to deleted devices are
  /// deleted too.
  func deliveries(
    of id: SignalID, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [Delivery]

  /// The signals of a client's device that are neither acknowledged nor expired at `time`: the `limit` oldest that are not
  /// cancelled, and the newest that are.
  func signals(
    for id: DeviceID, of owner: ClientID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> DeviceSignals

  /// Stores each acknowledgement that is the first of its delivery. Returns, once each, the signals that were
  /// sent to the device, and whether their acknowledgement was stored.
  func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool]

  /// Stores when signals were handed out, each delivery once. Returns those that were stored: the first of their deliveries.
  /// Ignores deliveries that do not exist or belong to another client's device.
  func recordHandOuts(_ handOuts: [HandOut]) async throws(RegistryError) -> [HandOut]

  /// Deletes signals that expired before `time`, and those that were created before `abandonedBefore` and are still not
  /// wholly stored; first their deliveries. Returns how many rows it deleted, at most `maximumRows`; fewer if there are
  /// no more.
  func removeSignals(
    expiredBefore time: Timestamp, abandonedBefore: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int
}

/// The bounds on what is stored of a client's signals.
public struct SignalBounds: Hashable, Sendable {
  /// Signals that have not expired.
  public let live: Int
  /// Signals that are kept, expired ones included.
  public let kept: Int
  /// Deliveries of the signals that are kept.
  public let deliveries: Int

  public init(live: Int = SignalService.maximumLive, kept: Int = 100_000, deliveries: Int = 1_000_000) {
    self.live = live
    self.kept = kept
    self.deliveries = deliveries
  }
}

/// How much of a signal is stored.
public struct SignalProgress: Hashable, Sendable {
  /// Deliveries that are stored.
  public let deliveries: Int
  /// The device of the last one; nil once all deliveries are stored, and devices receive the signal.
  public let last: DeviceID?

  public init(deliveries: Int, last: DeviceID?) {
    self.deliveries = deliveries
    self.last = last
  }
}
