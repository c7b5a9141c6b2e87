/// The services of the registry. Each event loop has its own, with the loop's store.
public struct Services: Sendable {
  public let clients: ClientService
  public let devices: DeviceService
  public let bulk: BulkService
  public let groups: GroupService
  public let authentication: AuthenticationService
  public let tokens: TokenService
  public let signals: SignalService
  public let events: EventService
  public let idempotency: IdempotencyService
  public let enrolments: EnrolmentService
  public let terminals: TerminalService
  public let webhooks: WebhookService
  public let telegram: TelegramService
  public let statistics: StatisticsService
  public let limits: RateLimits
  public let clock: any Clock
  public let store: any RegistryStore

  /// - Parameters:
  ///   - skewSeconds: how many seconds a signature's `created` may be in the past.
  ///   - maxDevicesPerClient: the maximum number of devices of a client, revoked ones included.
  ///   - offlineAfterSeconds: how long after its last request a device is offline.
  ///   - leaseSeconds: how long an instance has its device after its last poll.
  ///   - signalBounds: the bounds on what is stored of a client's signals.
  ///   - webhookParts: what webhooks need beside the store.
  ///   - telegramBot: the bot whose chats are linked; nil without one.
  public init(
    store: any RegistryStore, live: LiveDevices, replay: any ReplayStore, hasher: any PasswordHasher,
    limits: RateLimits, clock: any Clock, random: any RandomSource, observer: any RegistryObserver,
    skewSeconds: Int, maxDevicesPerClient: Int, offlineAfterSeconds: Int = Device.defaultOfflineAfterSeconds,
    leaseSeconds: Int = InstanceLease.defaultSeconds, signalBounds: SignalBounds = SignalBounds(),
    webhookParts: WebhookParts = .none, telegramBot: TelegramBotName? = nil
  ) {
    authentication = AuthenticationService(
      store: store, live: live, replay: replay, hasher: hasher, limits: limits, clock: clock,
      observer: observer,
      skewSeconds: skewSeconds)
    clients = ClientService(store: store, live: live, random: random, observer: observer)
    devices = DeviceService(
      store: store, live: live, hasher: hasher, clock: clock, random: random, observer: observer,
      limits: limits, maxDevicesPerClient: maxDevicesPerClient, offlineAfterSeconds: offlineAfterSeconds)
    bulk = BulkService(store: store, live: live, observer: observer, limits: limits)
    groups = GroupService(store: store, observer: observer, limits: limits)
    tokens = TokenService(
      store: store, live: live, authentication: authentication, hasher: hasher, clock: clock, random: random)
    terminals = TerminalService(
      store: store, live: live, clock: clock, observer: observer, leaseSeconds: leaseSeconds)
    signals = SignalService(
      store: store, live: live, authentication: authentication, terminals: terminals, clock: clock,
      random: random, observer: observer, limits: limits, bounds: signalBounds)
    events = EventService(store: store, live: live)
    idempotency = IdempotencyService(store: store, live: live)
    enrolments = EnrolmentService(
      store: store, live: live, devices: devices, idempotency: idempotency, hasher: hasher, clock: clock,
      random: random, observer: observer)
    webhooks = WebhookService(
      store: store, clock: clock, random: random, observer: observer, parts: webhookParts)
    telegram = TelegramService(
      store: store, hasher: hasher, clock: clock, random: random, observer: observer, bot: telegramBot)
    statistics = StatisticsService(store: store, clock: clock, limits: limits)
    self.limits = limits
    self.clock = clock
    self.store = store
  }
}
