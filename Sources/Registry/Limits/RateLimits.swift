/// The rate limits of clients, devices and addresses. All loops share them.
///
/// Authenticated requests are charged to their client or device, by what they cost (`RequestCost`). An address is charged for expensive work that
/// fails before authentication: a database query, verifying a token's signature, argon2id. The charge is made
/// in advance and refunded on success, so that concurrent requests cannot exceed the limit. Cached
/// authentications are not charged and never rejected, even if another caller at the same address uses a wrong
/// secret.
public final class RateLimits: Sendable {
  /// The limits; nil where there is none.
  public struct Settings: Hashable, Sendable {
    public var client: RateLimit?
    public var device: RateLimit?
    public var address: RateLimit?

    public init(client: RateLimit? = nil, device: RateLimit? = nil, address: RateLimit? = nil) {
      self.client = client
      self.device = device
      self.address = address
    }
  }

  /// Clients, devices and addresses whose buckets are kept while they are not full.
  public static let maximumClients = 16_384
  public static let maximumDevices = 65_536
  public static let maximumAddresses = 65_536

  private let clients: RateLimitTable?
  private let devices: RateLimitTable?
  private let addresses: RateLimitTable?
  private let hash: KeyedHash
  private let monotonicMilliseconds: @Sendable () -> Int64

  /// - Parameters:
  ///   - random: generates the key of the hashes, so that no caller can choose a set of the table.
  ///   - monotonicMilliseconds: a monotonic clock.
  public init(
    _ settings: Settings, random: some RandomSource, monotonicMilliseconds: @escaping @Sendable () -> Int64
  ) {
    clients = settings.client.map { RateLimitTable(limit: $0, maximumKeys: Self.maximumClients) }
    devices = settings.device.map { RateLimitTable(limit: $0, maximumKeys: Self.maximumDevices) }
    addresses = settings.address.map { RateLimitTable(limit: $0, maximumKeys: Self.maximumAddresses) }
    hash = KeyedHash(random: random)
    self.monotonicMilliseconds = monotonicMilliseconds
  }

  // MARK: Authenticated callers

  /// Charges a client for a request. Nil if there is no limit.
  public func count(_ client: ClientID) -> RateLimit.Standing? {
    guard let clients else { return nil }
    let now = now
    return clients.standing(.client, after: clients.take(hash(client.text), nowNanoseconds: now))
  }

  /// Charges a device for a request. Nil if there is no limit.
  func count(_ device: DeviceID) -> RateLimit.Standing? {
    guard let devices else { return nil }
    let now = now
    return devices.standing(.device, after: devices.take(hash(device.high, device.low), nowNanoseconds: now))
  }

  /// Refunds a device for a request that it may not have sent, or that could not be admitted.
  func refund(_ device: DeviceID) { devices?.giveBack(hash(device.high, device.low)) }

  /// Charges a client for what its request cost beyond 1, and returns the state of its limit. Nil if there is no
  /// limit.
  @discardableResult
  public func charge(_ client: ClientID, cost: Int) -> RateLimit.Standing? {
    guard let clients else { return nil }
    let outcome = clients.charge(hash(client.text), cost: cost, nowNanoseconds: now)
    return clients.standing(.client, after: outcome)
  }

  /// The same for a device.
  public func charge(_ device: DeviceID, cost: Int) -> RateLimit.Standing? {
    guard let devices else { return nil }
    let outcome = devices.charge(hash(device.high, device.low), cost: cost, nowNanoseconds: now)
    return devices.standing(.device, after: outcome)
  }

  // MARK: Addresses

  /// Charges an address for work before it is done. Nil if there is no limit. Throws `rateLimited`: do not do
  /// the work.
  @discardableResult
  public func charge(_ address: CallerAddress) throws(RegistryError) -> RateLimit.Standing? {
    guard let addresses else { return nil }
    let outcome = addresses.take(hash(address.high, address.low), nowNanoseconds: now)
    let standing = addresses.standing(.address, after: outcome)
    guard standing.retryAfterSeconds == nil else { throw .rateLimited(standing) }
    return standing
  }

  /// Refunds a charge: the work succeeded, or failed through no fault of the caller.
  public func refund(_ address: CallerAddress) { addresses?.giveBack(hash(address.high, address.low)) }

  /// The state of an address's limit. Nil if there is no limit.
  public func standing(of address: CallerAddress) -> RateLimit.Standing? {
    guard let addresses else { return nil }
    return addresses.standing(
      .address, after: addresses.charge(hash(address.high, address.low), cost: 0, nowNanoseconds: now))
  }

  /// Does expensive work, and charges the address unless it returns a value. A nil address, which was charged
  /// before, is not charged.
  func charging<Value>(
    _ address: CallerAddress?, _ body: () async throws(RegistryError) -> Value?
  ) async throws(RegistryError) -> Value? {
    guard let address else { return try await body() }
    try charge(address)
    do throws(RegistryError) {
      let value = try await body()
      if value != nil { refund(address) }
      return value
    } catch {
      refund(address)
      throw error
    }
  }

  // MARK: For the metrics

  /// Buckets that are not full.
  public func entries(of subject: RateLimit.Subject) -> Int {
    table(of: subject)?.count(nowNanoseconds: now) ?? 0
  }

  /// Buckets that were evicted before they were full.
  public func evictions(of subject: RateLimit.Subject) -> Int { table(of: subject)?.evictions ?? 0 }

  private func table(of subject: RateLimit.Subject) -> RateLimitTable? {
    switch subject {
    case .client: clients
    case .device: devices
    case .address: addresses
    }
  }

  // MARK: Time and keys

  private var now: Int64 { monotonicMilliseconds() * 1_000_000 }
}

extension RateLimitTable {
  fileprivate func standing(_ subject: RateLimit.Subject, after outcome: Outcome) -> RateLimit.Standing {
    RateLimit.Standing(
      subject: subject, limit: limit, remaining: outcome.remaining,
      resetSeconds: Self.seconds(outcome.nanosecondsUntilFull),
      retryAfterSeconds: outcome.isAdmitted ? nil : max(1, Self.seconds(outcome.nanosecondsUntilNext)))
  }

  /// Whole seconds, rounded up.
  private static func seconds(_ nanoseconds: Int64) -> Int { Int((nanoseconds + 999_999_999) / 1_000_000_000) }
}
