internal import Registry

/// What a trigger of the database tells, or hand-written SQL.
enum PostgresNotification: Hashable {
  /// These devices' secrets, tokens or state changed, or they are gone.
  case credentialsChanged([DeviceID])
  /// There are new signals for these devices.
  case signalsArrived([DeviceID])
  /// Anything may have changed.
  case anythingChanged

  /// The channels, which the migrations name too.
  static let credentialsChannel = "device_registry_credentials"
  static let signalsChannel = "device_registry_signals"

  /// Reads devices' ids with commas between them. Whatever is not that may mean anything.
  init(channel: String, payload: String) {
    let ids = payload.split(separator: ",", omittingEmptySubsequences: false).map { DeviceID(String($0)) }
    let known = ids.compactMap { $0 }
    switch channel {
    case Self.credentialsChannel where known.count == ids.count: self = .credentialsChanged(known)
    case Self.signalsChannel where known.count == ids.count: self = .signalsArrived(known)
    default: self = .anythingChanged
    }
  }

  func tell(_ observer: any ChangeObserver) {
    switch self {
    case .credentialsChanged(let ids): for id in ids { observer.credentialsChanged(of: id) }
    case .signalsArrived(let ids): for id in ids { observer.signalsArrived(for: id) }
    case .anythingChanged: observer.changesMissed()
    }
  }
}
