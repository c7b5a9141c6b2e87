/// Stores signals and their deliveries.
public protocol SignalStore: Sendable {
  /// Stores a signal and one delivery for each addressed device. Returns the number of deliveries.
  ///
  /// On an error, stores nothing. Throws, in this order, `clientNotFound`; `deviceNotFound`, `notOwner`,
  /// `deviceRevoked` if true of any addressed device; `tooManySignals` at `maxLive` unexpired signals.
  func insertSignal(
    _ signal: Signal, to addressees: Addressees, maxLive: Int, change: Change
  ) async throws(RegistryError) -> Int

  /// At most `limit` of the client's signals after `cursor`, newest first, expired ones included.
  func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary]

  /// A signal and the number of devices that it was sent to.
  func signal(_ id: SignalID) async throws(RegistryError) -> (signal: Signal, devices: Int)?

  /// All deliveries of a signal, by device id. Deliveries to deleted devices are deleted too.
  func deliveries(of id: SignalID) async throws(RegistryError) -> [Delivery]

  /// The oldest signals of the device that are neither acknowledged nor expired at `time`, at most `limit`.
  func pendingSignals(
    of id: DeviceID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [Signal]

  /// Stores each acknowledgement that is the first of its delivery. Returns, once each, the signals that were
  /// sent to the device, and whether their acknowledgement was stored.
  func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool]

  /// Deletes at most `limit` signals that expired before `time`, and returns their number.
  func removeSignals(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int
}
