/// Why an operation of the registry failed.
public enum RegistryError: Error, Hashable, Sendable {
  /// A value is invalid. The message completes the sentence that starts with the field's name.
  case invalid(field: String, message: String)

  /// Unknown device, or wrong secret; the caller does not learn which.
  case signatureInvalid
  /// The caller proved who it is, and may not use the registry now.
  case refused(DeviceAccess.Refusal)
  /// The nonce was used before.
  case replayed
  /// The token does not exist or has expired.
  case tokenInvalid

  case clientNotFound
  case deviceNotFound
  /// The device belongs to another client.
  case notOwner
  case signalNotFound
  /// The signal belongs to another client.
  case notSignalOwner
  /// The client has no such group.
  case groupNotFound

  /// Another instance polls for the device.
  case deviceInUse(since: Timestamp, lastPoll: Timestamp)
  /// The device does not run on the account that its owner allows, or did not say on which it runs.
  case accountNotBound

  case enrolmentNotFound
  /// The enrolment belongs to another client.
  case notEnrolmentOwner
  /// Unknown, used or expired code; the caller does not learn which.
  case enrolmentInvalid
  /// The client has its maximum number of groups.
  case tooManyGroups(limit: Int)
  /// The device is in its maximum number of groups.
  case tooManyGroupsOfDevice(limit: Int)

  case webhookNotFound
  /// The webhook belongs to another client.
  case notWebhookOwner
  /// Webhooks need a key that seals their secrets, and none is configured.
  case sealingKeyMissing

  /// The registry has no Telegram bot.
  case telegramNotConfigured
  case telegramLinkNotFound
  /// The link belongs to another client.
  case notTelegramLinkOwner
  /// The client has its maximum number of linked chats.
  case tooManyTelegramLinks(limit: Int)

  /// The client's id is taken.
  case clientIDTaken
  /// The client's e-mail address is taken.
  case clientEmailTaken
  /// Events after the position were deleted by the retention, or the position is not in this database's feed.
  case eventsExpired
  /// Another device of the client, which is not revoked, has the name.
  case deviceNameTaken
  /// A selector means that number of devices, and the owner expects another one. Nothing was done.
  case expectationFailed(matched: Int)
  /// The device is revoked, and the operation needs one that is not.
  case deviceRevoked
  /// The device is not revoked, and the operation needs one that is.
  case deviceNotRevoked
  /// The client has its maximum number of devices, revoked ones included.
  case tooManyDevices(limit: Int)
  /// The client has its maximum number of unexpired signals.
  case tooManySignals(limit: Int)
  /// The client has its maximum number of signals, expired ones included.
  case tooManyKeptSignals(limit: Int)
  /// The client would have more than its maximum number of deliveries, expired ones included.
  case tooManyDeliveries(limit: Int)
  /// The client has its maximum number of enrolments, used and expired ones included.
  case tooManyEnrolments(limit: Int)
  /// The client has its maximum number of webhooks.
  case tooManyWebhooks(limit: Int)
  /// The key was used, by a request that ended. Nothing was done.
  case idempotencyKeyUsed
  /// A request with the key runs. Nothing was done.
  case idempotencyInProgress
  /// The key was used for another request. Nothing was done.
  case idempotencyMismatch
  /// The client has its maximum number of keys. Nothing was done.
  case tooManyIdempotencyKeys(limit: Int)
  /// The request was made before, and the secret is shown only once. Nothing was done.
  case secretAlreadyShown(SecretHolder, id: String)
  /// Too many requests of the client wait for the same resource. Nothing was done; others are not affected.
  case tooManyWaiting(limit: Int)
  /// The rate limit is exceeded. Nothing was done.
  case rateLimited(RateLimit.Standing)
  /// The device requested tokens too often. Nothing was done; try again after that many seconds.
  case tooManyTokens(retryAfterSeconds: Int)

  /// A queue is full. Nothing was done; a retry is safe.
  case overloaded(queue: String)
  /// The database is unreachable or did not respond in time. A write may have been committed. The cause is for
  /// the log.
  case unavailable(cause: String)
  /// Nonces cannot be checked now; try again after that many seconds. The cause is for the log.
  case replayUnavailable(cause: String, retryAfterSeconds: Int)
  /// The request was signed so early that it may have been accepted before the store of nonces began to remember them.
  /// The device may sign again after that many seconds, by the registry's time. The cause is for the log.
  case signedBeforeStart(cause: String, retryAfterSeconds: Int, serverTime: Timestamp)
  /// An internal error. The cause is for the log.
  case fault(cause: String)
}
