/// The database's part on signals.
public protocol SignalStore: Sendable {
  /// Stores a signal and a delivery for each addressee, and answers how many those are.
  ///
  /// Throws, and stores nothing: `clientNotFound`; `deviceNotFound`, `notOwner`, `deviceRevoked` where any of the
  /// addressees is so, in this order; `tooManySignals` when the client has `maxLive` signals that have not expired.
  func insertSignal(
    _ signal: Signal, to addressees: Addressees, maxLive: Int, change: Change
  ) async throws(RegistryError) -> Int

  /// At most `limit` of the client's signals behind `cursor`, newest first, expired ones included.
  func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary]

  /// A signal, and how many devices it was sent to.
  func signal(_ id: SignalID) async throws(RegistryError) -> (signal: Signal, devices: Int)?

  /// All of a signal's deliveries, by their device's id; those of devices that are gone are gone.
  func deliveries(of id: SignalID) async throws(RegistryError) -> [Delivery]

  /// At most `limit` signals to the device that are neither acknowledged nor expired at `time`, oldest first.
  func pendingSignals(
    of id: DeviceID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [Signal]

  /// Stores those acknowledgements that are the first of their delivery. Answers the signals that were sent to the
  /// device, and whether the acknowledgement was stored. Each signal is in the list once.
  func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool]

  /// Removes signals that expired before `time`, `limit` of them at the most, and answers how many.
  func removeSignals(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int
}
