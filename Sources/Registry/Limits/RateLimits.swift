/// How often clients, devices and addresses may ask, and how often they did. Shared by all loops.
///
/// Clients and devices are counted once they have proved who they are. An address is counted for what costs something
/// before that and fails: a look into the database, a signature of a token, argon2id. It is charged beforehand and gets
/// it back if all was well, so that many at once cannot overdraw it. What is remembered costs nothing and is never
/// refused: who lives beside somebody with a wrong secret goes on.
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
  ///   - random: makes the key of the hashes, so that nobody chooses whose bucket is beside whose.
  ///   - monotonicMilliseconds: a clock that nobody sets.
  public init(
    _ settings: Settings, random: some RandomSource, monotonicMilliseconds: @escaping @Sendable () -> Int64
  ) {
    clients = settings.client.map { RateLimitTable(limit: $0, maximumKeys: Self.maximumClients) }
    devices = settings.device.map { RateLimitTable(limit: $0, maximumKeys: Self.maximumDevices) }
    addresses = settings.address.map { RateLimitTable(limit: $0, maximumKeys: Self.maximumAddresses) }
    hash = KeyedHash(random: random)
    self.monotonicMilliseconds = monotonicMilliseconds
  }

  // MARK: Who has proved who it is

  /// Counts a request of a client. Nil where there is no limit.
  public func count(_ client: ClientID) -> RateLimit.Standing? {
    guard let clients else { return nil }
    let now = now
    return clients.standing(.client, after: clients.take(hash(client.text), nowNanoseconds: now))
  }

  /// Counts a request of a device. Nil where there is no limit.
  public func count(_ device: DeviceID) -> RateLimit.Standing? {
    guard let devices else { return nil }
    let now = now
    return devices.standing(.device, after: devices.take(hash(device.high, device.low), nowNanoseconds: now))
  }

  // MARK: Who has not yet

  /// Charges an address for what is done on its behalf. Nil where there is no limit. Throws `rateLimited`: it is not to
  /// be done.
  @discardableResult
  public func charge(_ address: CallerAddress) throws(RegistryError) -> RateLimit.Standing? {
    guard let addresses else { return nil }
    let outcome = addresses.take(hash(address.high, address.low), nowNanoseconds: now)
    let standing = addresses.standing(.address, after: outcome)
    guard standing.retryAfterSeconds == nil else { throw .rateLimited(standing) }
    return standing
  }

  /// Takes a charge back: what was done turned out well, or failed through no fault of the caller.
  public func refund(_ address: CallerAddress) { addresses?.giveBack(hash(address.high, address.low)) }

  /// Where an address stands. Nil where there is no limit.
  public func standing(of address: CallerAddress) -> RateLimit.Standing? {
    guard let addresses else { return nil }
    return addresses.standing(
      .address, after: addresses.look(hash(address.high, address.low), nowNanoseconds: now))
  }

  /// Does what costs something, at the expense of an address unless there is a value. Without an address, which is so
  /// where it was charged before, at nobody's.
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

  /// Buckets that made room for others before they were full.
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
