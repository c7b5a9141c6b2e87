/// What an owner allows a device to trade, and what the device said that it obeys.
public struct TradingMode: Hashable, Sendable {
  public enum Mode: String, CaseIterable, Sendable {
    case normal
    /// The device manages and closes positions, and opens none.
    case closeOnly = "close_only"
    /// The device sends no orders.
    case halted
  }

  public let mode: Mode
  /// Grows with each change; 1 for a new device.
  public let version: Int64
  /// Why the owner changed the mode, if given.
  public let reason: String?
  /// When the mode last changed, or the device was registered.
  public let since: Timestamp
  /// The version that the device last confirmed; nil before the first confirmation.
  public let confirmedVersion: Int64?
  public let confirmedAt: Timestamp?

  public init(
    mode: Mode, version: Int64, reason: String?, since: Timestamp, confirmedVersion: Int64?,
    confirmedAt: Timestamp?
  ) {
    self.mode = mode
    self.version = version
    self.reason = reason
    self.since = since
    self.confirmedVersion = confirmedVersion
    self.confirmedAt = confirmedAt
  }

  /// The mode of a new device.
  public init(since time: Timestamp) {
    self.init(
      mode: .normal, version: 1, reason: nil, since: time, confirmedVersion: nil, confirmedAt: nil)
  }

  /// Whether the device said that it obeys this version.
  public var isConfirmed: Bool { confirmedVersion == version }
}
