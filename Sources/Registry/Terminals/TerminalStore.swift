/// Stores where devices run.
public protocol TerminalStore: Sendable {
  /// Gives the instance the lease on the device, if none has it, the holder has not polled after `silentSince`, or
  /// `takesOver`. False otherwise. It is no event.
  func takeInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID, takesOver: Bool, silentSince: Timestamp,
    at time: Timestamp
  ) async throws(RegistryError) -> Bool

  /// Ends the lease of the instance, if it holds it. It is no event.
  func releaseInstance(_ instance: InstanceID, of id: DeviceID, owner: ClientID) async throws(RegistryError)

  /// Records that a second instance polled, unless that was recorded after `recordedBefore`. Returns whether it was
  /// recorded.
  func recordContention(
    of id: DeviceID, owner: ClientID, by instance: InstanceID, recordedBefore: Timestamp, change: Change
  ) async throws(RegistryError) -> Bool

  /// Stores what the device says of where it runs. False, without effect, if it is the same as before.
  func setContext(
    _ context: DeviceContext, of id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool
}
