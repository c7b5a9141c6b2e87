/// The key that a client gives a request so that repeating it does nothing again, and what the request is
/// (draft-ietf-httpapi-idempotency-key-header).
public struct IdempotencyKey: Hashable, Sendable {
  /// Visible ASCII characters of a key.
  public static let maximumLength = 64
  /// How long a key is kept, in hours.
  public static let keptHours = 24
  /// Keys of one client that are kept at the same time.
  public static let maximumPerClient = 10_000

  public let text: String
  /// The request's method, path and digest. Another request with the same key is refused.
  public let request: String

  /// Nil unless the text has 1 to 64 visible ASCII characters.
  public init?(_ text: String, request: String) {
    guard (1...Self.maximumLength).contains(text.utf8.count),
      text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { return nil }
    self.text = text
    self.request = request
  }
}

/// The use of a key, which is stored in the transaction of the change that it is used for.
public struct IdempotencyClaim: Hashable, Sendable {
  /// The client that sent the key.
  public let clientID: ClientID
  public let key: IdempotencyKey
}

/// A key that was used.
public struct UsedIdempotencyKey: Hashable, Sendable {
  /// The request that it was used for.
  public let request: String
  /// The id of what the request created or changed.
  public let resourceID: String

  public init(request: String, resourceID: String) {
    self.request = request
    self.resourceID = resourceID
  }
}

/// What has a secret that is shown once.
public enum SecretHolder: String, Hashable, Sendable {
  case device, enrolment, webhook, telegramCode
}

/// Stores idempotency keys. The writes that create something store the key of their `Change` in the same transaction, and
/// throw `idempotencyKeyUsed` if it was used.
public protocol IdempotencyStore: Sendable {
  /// The use of a key, and whether the client has `maximum` keys.
  func idempotencyKey(
    _ key: IdempotencyKey, of client: ClientID, maximum: Int
  ) async throws(RegistryError) -> (used: UsedIdempotencyKey?, isFull: Bool)

  /// Deletes keys that were used before a time, and returns how many, at most `maximumRows`.
  func removeIdempotencyKeys(usedBefore time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int
}
