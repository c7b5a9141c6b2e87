/// Hears what changed in the database, whoever changed it: this process, another one, or SQL by hand. Calls come
/// from any thread, and return at once.
public protocol ChangeObserver: AnyObject, Sendable {
  /// The device's secrets, its tokens or its state changed, or it is gone.
  func credentialsChanged(of id: DeviceID)
  /// There are new signals for the device.
  func signalsArrived(for id: DeviceID)
  /// Changes may have been missed: whatever is remembered may be wrong.
  func changesMissed()
  /// Up to this moment of the monotonic clock, in milliseconds, no change is missed.
  func trust(untilMilliseconds: Int64)
}
