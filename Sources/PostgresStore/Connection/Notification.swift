internal import Registry

/// A notification from a trigger or from hand-written SQL.
enum PostgresNotification: Hashable {
  /// The secret, tokens or state of these devices changed, or the devices were deleted.
  case credentialsChanged([DeviceID])
  case signalsArrived([DeviceID])
  /// A signal to many devices of this client.
  case signalsArrivedForMany(of: ClientID)
  /// The client was deleted.
  case clientChanged(ClientID)
  /// Clients have new events.
  case eventsRecorded([ClientID])
  /// Anything may have changed.
  case anythingChanged

  /// The channel names; the migrations use them too.
  static let credentialsChannel = "device_registry_credentials"
  static let signalsChannel = "device_registry_signals"
  static let clientsChannel = "device_registry_clients"
  static let eventsChannel = "device_registry_events"

  /// Before the client's id, on the signals' channel.
  private static let clientPrefix = "client "

  /// Reads comma-separated device ids, a client's id, or the ids of clients with blanks between. Any other payload or channel means `anythingChanged`.
  init(channel: String, payload: String) {
    if channel == Self.clientsChannel {
      self = ClientID(payload).map { .clientChanged($0) } ?? .anythingChanged
      return
    }
    if channel == Self.eventsChannel {
      self = .eventsRecorded(payload.split(separator: " ").compactMap { ClientID(String($0)) })
      return
    }
    if channel == Self.signalsChannel, payload.hasPrefix(Self.clientPrefix),
      let client = ClientID(String(payload.dropFirst(Self.clientPrefix.count)))
    {
      self = .signalsArrivedForMany(of: client)
      return
    }
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
    case .signalsArrivedForMany(let client): observer.signalsArrived(forDevicesOf: client)
    case .clientChanged(let client): observer.clientChanged(client)
    case .eventsRecorded(let clients): for client in clients { observer.eventsRecorded(of: client) }
    case .anythingChanged: observer.changesMissed()
    }
  }
}
