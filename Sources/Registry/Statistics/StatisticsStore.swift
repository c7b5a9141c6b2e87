/// Stores what devices did, by hour. `PresenceStore.recordActivity` adds to it.
public protocol StatisticsStore: Sendable {
  /// What a client's devices did from one time to another, which are starts of `step`; for each device or for all of them
  /// together, by device and time. Steps in which nothing is stored are left out.
  func statistics(
    of client: ClientID, devices: [DeviceID], from: Timestamp, to: Timestamp, step: StatisticsStep,
    isByDevice: Bool
  ) async throws(RegistryError) -> [StoredStatistics]

  /// Counts the deliveries of signals that expired or were cancelled until a time and were not acknowledged, each once; at
  /// most `maximumRows` of them. Returns how many it looked at; fewer than `maximumRows` if there are no more.
  func settleSignals(until time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int

  /// Deletes statistics of hours before a time and of devices that are deleted. Returns how many rows it deleted, at most
  /// `maximumRows`; fewer if there are no more.
  func removeStatistics(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int
}

/// What is stored of a step, summed.
public struct StoredStatistics: Hashable, Sendable {
  /// Nil for devices together.
  public let deviceID: DeviceID?
  /// The start of the step.
  public let from: Timestamp
  public let counts: DeviceStatistics
  /// How many rows were summed.
  public let rows: Int

  public init(deviceID: DeviceID?, from: Timestamp, counts: DeviceStatistics, rows: Int) {
    self.deviceID = deviceID
    self.from = from
    self.counts = counts
    self.rows = rows
  }
}
