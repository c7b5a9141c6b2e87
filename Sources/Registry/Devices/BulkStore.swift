/// Stores changes of many devices.
public protocol BulkStore: Sendable {
  /// The first devices after an id, by id, that the selector means; not one that lists devices.
  func selectedDevices(
    _ selector: DeviceSelector, of client: ClientID, after id: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [DeviceID]
}
