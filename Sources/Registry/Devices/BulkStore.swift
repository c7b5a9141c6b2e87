/// Stores changes of many devices.
public protocol BulkStore: Sendable {
  /// The first devices after an id, by id, that the selector means; not one that lists devices.
  func selectedDevices(
    _ selector: DeviceSelector, of client: ClientID, after id: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [DeviceID]

  /// The devices that exist, of any client.
  func devices(_ ids: [DeviceID]) async throws(RegistryError) -> [Device]

  /// The devices of the client, not revoked, that have these names.
  func devices(named names: [DeviceName], of client: ClientID) async throws(RegistryError) -> [DeviceName:
    DeviceID]

  func hasGroup(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Bool

  /// Changes devices in one transaction, `step` in a statement, as `bulk` judges; with an event for each changed device.
  /// Throws `groupNotFound`, `expectationFailed`; then nothing is stored.
  ///
  /// - Parameter ids: the selected devices, by id.
  func changeDevices(_ ids: [DeviceID], by bulk: BulkChange, step: Int) async throws(RegistryError)
    -> BulkOutcome

  /// Stores that devices obey the current version of their trading mode. Returns those that do, and whether that was
  /// stored now; leaves out those whose version is another one.
  func confirmModes(_ confirmations: [ModeConfirmation]) async throws(RegistryError) -> [DeviceID: Bool]
}
