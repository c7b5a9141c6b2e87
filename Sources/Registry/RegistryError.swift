/// Why the registry did not do what it was asked.
public enum RegistryError: Error, Hashable, Sendable {
  /// A value is not of its form. The message is for people and completes the sentence that the field begins.
  case invalid(field: String, message: String)

  /// There is no such device, it is revoked, or the secret is another: which, nobody is told.
  case signatureInvalid
  /// The nonce was used before.
  case replayed
  /// There is no such token, or it has ended.
  case tokenInvalid

  case clientNotFound
  case deviceNotFound
  /// The device is another client's.
  case notOwner
  case signalNotFound
  /// The signal is another client's.
  case notSignalOwner

  /// The client's id is taken.
  case clientIDTaken
  /// The client's e-mail address is taken.
  case clientEmailTaken
  /// Another device of the client that is not revoked has the name.
  case deviceNameTaken
  /// The device is revoked, and what was asked needs one that is not.
  case deviceRevoked
  /// The client has all the devices that it may have, revoked ones included.
  case tooManyDevices(limit: Int)
  /// The client has all the signals that it may have.
  case tooManySignals(limit: Int)
  /// There were more requests than the limit allows. Nothing was done.
  case rateLimited(RateLimit.Standing)
  /// The device asked for tokens too often. Nothing was done; try again after so many seconds.
  case tooManyTokens(retryAfterSeconds: Int)

  /// A queue is full. Nothing was done; trying again later is safe.
  case overloaded(queue: String)
  /// The database cannot be reached, or did not answer in time. Whether a write took place is not known.
  /// The cause is for the log.
  case unavailable(cause: String)
  /// It cannot be checked now whether a nonce was used before; try again after that many seconds. The cause is for the log.
  case replayUnavailable(cause: String, retryAfterSeconds: Int)
  /// A fault of ours. The cause is for the log.
  case fault(cause: String)
}
