internal import Registry

/// A notification from a trigger or from hand-written SQL.
enum PostgresNotification: Hashable {
  /// The secret, tokens or state of these devices changed, or the devices were deleted.
  case credentialsChanged([DeviceID])
  case signalsArrived([DeviceID])
  /// Anything may have changed.
  case anythingChanged

  /// The channel names; the migrations use them too.
  static let credentialsChannel = "device_registry_credentials"
  static let signalsChannel = "device_registry_signals"

  /// Reads comma-separated device ids. Any other payload or channel means `anythingChanged`.
  init(channel: String, payload: String) {
    let ids = payload.split(separator: ",", omittingEmptySubsequences: false).map { DeviceID(String($0)) }
    let known = ids.compactMap { $0 }
    switch channel {
    case Self.credentialsChannel where known.count == ids.count: self = .credentialsChanged(known)
    case Self.signalsChannel where known.count == ids.count: self = .signalsArrived(known)
    default: self = .anythingChanged
    }
  }

  func notify(_ observer: any ChangeObserver) {
    switch self {
    case .credentialsChanged(let ids): for id in ids { observer.credentialsChanged(of: id) }
    case .signalsArrived(let ids): for id in ids { observer.signalsArrived(for: id) }
    case .anythingChanged: observer.changesMissed()
    }
  }
}
