/// Is notified of every change in the database, whether this process, another one, or SQL made it. Any thread
/// may call; the methods return at once.
public protocol ChangeObserver: AnyObject, Sendable {
  /// The device was deleted, or its secrets, its tokens or its state changed.
  func credentialsChanged(of id: DeviceID)
  /// The client was deleted, or its state changed, and with it whether its devices may authenticate.
  func clientChanged(_ id: ClientID)
  /// The device has new signals.
  func signalsArrived(for id: DeviceID)
  /// Signals arrived for some of the client's devices.
  func signalsArrived(forDevicesOf client: ClientID)
  /// The client has new events.
  func eventsRecorded(of client: ClientID)
  /// Any client may have new events.
  func eventsMissed()
  /// Changes may have been missed: cached values may be stale.
  func changesMissed()
  /// No change has been missed up to this time of the monotonic clock.
  func trust(untilMilliseconds: Int64)
}
