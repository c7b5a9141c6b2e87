public import Foundation

// Changes of many devices with one request.

/// What is done to each of several devices.
public enum DeviceAction: Hashable, Sendable {
  case revoke
  case suspend(until: Date?)
  case resume
  /// Sets these labels; nil removes one.
  case setLabels([String: String?])
  case addToGroup(String)
  case removeFromGroup(String)
  /// Nil for never.
  case setExpiry(Date?)
  /// - Parameter cancelsSignals: whether signals that devices have not got are cancelled.
  case setTradingMode(TradingMode.Mode, cancelsSignals: Bool)
}

/// What became of a change of many devices.
public struct DeviceChangeResult: Decodable, Hashable, Sendable {
  /// The devices that the selector means.
  public let matched: Int
  public let changed: Int
  /// The devices that were so already.
  public let unchanged: Int
  public let refused: [Refusal]
  /// Whether nothing was done, because the request only asked what would be.
  public let isDryRun: Bool

  /// A device that could not be changed, and why.
  public struct Refusal: Decodable, Hashable, Sendable {
    public let deviceID: String
    /// As `Problem.type`.
    public let type: String

    /// The last part of the type, for example `device-revoked`.
    public var kind: String { type.split(separator: "/").last.map(String.init) ?? type }

    enum CodingKeys: String, CodingKey {
      case type
      case deviceID = "device_id"
    }
  }

  enum CodingKeys: String, CodingKey {
    case matched, changed, unchanged, refused
    case isDryRun = "dry_run"
  }
}

extension OwnerClient {
  /// Changes many devices at once: all that can be, or none if the request fails.
  ///
  /// - Parameters:
  ///   - reason: at most 200 characters, for the events and `statusReason`.
  ///   - expectedCount: how many devices the selector means. If there are more or fewer, nothing is done, and a `problem`
  ///     of kind `expectation-failed` is thrown.
  ///   - isDryRun: only counts.
  public func changeDevices(
    _ selector: DeviceSelector, _ action: DeviceAction, reason: String? = nil, expectedCount: Int? = nil,
    isDryRun: Bool = false
  ) async throws(RegistryClientError) -> DeviceChangeResult {
    try await perform(
      .changeDevices(selector, action, reason: reason, expectedCount: expectedCount, isDryRun: isDryRun))
  }

  /// Renames devices at once, by id. Devices may exchange their names. Throws a `problem` of kind `device-name-taken`.
  public func renameDevices(
    _ names: [String: String], reason: String? = nil, isDryRun: Bool = false
  ) async throws(RegistryClientError) -> DeviceChangeResult {
    let body = BulkBody(action: "rename", names: names, reason: reason, dry_run: isDryRun)
    return try await perform(.bulk(body))
  }
}

extension OwnerRequest<DeviceChangeResult> {
  package static func changeDevices(
    _ selector: DeviceSelector, _ action: DeviceAction, reason: String?, expectedCount: Int?, isDryRun: Bool
  ) throws(RegistryClientError) -> Self {
    var body = BulkBody(
      action: "", select: selector, reason: reason, expect: expectedCount, dry_run: isDryRun)
    switch action {
    case .revoke: body.action = "revoke"
    case .suspend(let until):
      body.action = "suspend"
      body.until = until
    case .resume: body.action = "resume"
    case .setLabels(let labels):
      body.action = "set_labels"
      body.labels = labels
    case .addToGroup(let name):
      body.action = "add_to_group"
      body.group = name
    case .removeFromGroup(let name):
      body.action = "remove_from_group"
      body.group = name
    case .setExpiry(let time):
      body.action = "set_expiry"
      body.expires_at = .some(time)
    case .setTradingMode(let mode, let cancelsSignals):
      body.action = "set_trading_mode"
      body.trading_mode = mode
      body.cancel_signals = cancelsSignals
    }
    return try bulk(body)
  }

  fileprivate static func bulk(_ body: BulkBody) throws(RegistryClientError) -> Self {
    Self(
      "POST", "/api/v1/devices/bulk", body: try .json(body, "change"), timeoutSeconds: bulkTimeoutSeconds)
  }
}

/// The registry changes tens of thousands of devices in one transaction.
private let bulkTimeoutSeconds = 120.0

private struct BulkBody: Encodable {
  var action: String
  var select: DeviceSelector?
  var names: [String: String]?
  var reason: String?
  var expect: Int?
  var dry_run: Bool
  var until: Date?
  var labels: [String: String?]?
  var group: String?
  var expires_at: Date??
  var trading_mode: TradingMode.Mode?
  var cancel_signals: Bool?
}
