public import Registry

/// A database whose operations all throw. A test's store is one that does the operations which the test is
/// about, and no others.
public protocol UnusableStore: RegistryStore {
  /// What every operation throws that the store does not have itself.
  var error: RegistryError { get }
}

extension UnusableStore {
  public func ping() async throws(RegistryError) { throw error }
  public func insertClient(_ client: Client, change: Change) async throws(RegistryError) { throw error }
  public func client(_ id: ClientID) async throws(RegistryError) -> Client? { throw error }
  public func clients(after cursor: ClientCursor?, limit: Int) async throws(RegistryError) -> [Client] {
    throw error
  }
  public func updateClient(
    _ id: ClientID, _ update: ClientUpdate, change: Change
  ) async throws(RegistryError) -> Client? { throw error }
  public func suspendClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client? {
    throw error
  }
  public func resumeClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Client? {
    throw error
  }
  public func deleteClient(_ id: ClientID, change: Change) async throws(RegistryError) -> Bool { throw error }
  public func clearDeletedClients(
    _ id: ClientID?, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> Int {
    throw error
  }
  public func checkRegistration(
    of deviceName: DeviceName, for clientID: ClientID, maxDevices: Int
  ) async throws(RegistryError) { throw error }
  public func insertDevice(
    _ device: Device, verifier: SecretVerifier, maxDevices: Int, change: Change
  ) async throws(RegistryError) { throw error }
  public func device(_ id: DeviceID) async throws(RegistryError) -> Device? { throw error }
  public func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device] { throw error }
  public func renameDevice(
    _ id: DeviceID, of owner: ClientID, to deviceName: DeviceName, change: Change
  ) async throws(RegistryError) -> Device? { throw error }
  public func revokeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? { throw error }
}

// Bulk changes.
extension UnusableStore {
  public func selectedDevices(
    _ selector: DeviceSelector, of client: ClientID, after id: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [DeviceID] { throw error }
  public func devices(_ ids: [DeviceID]) async throws(RegistryError) -> [Device] { throw error }
  public func devices(
    named names: [DeviceName], of client: ClientID
  ) async throws(RegistryError) -> [DeviceName: DeviceID] { throw error }
  public func hasGroup(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Bool {
    throw error
  }
  public func changeDevices(
    _ ids: [DeviceID], by bulk: BulkChange, step: Int
  ) async throws(RegistryError) -> BulkOutcome { throw error }
  public func confirmModes(
    _ confirmations: [ModeConfirmation]
  ) async throws(RegistryError) -> [DeviceID: Bool] { throw error }
}

// The states of devices.
extension UnusableStore {
  public func suspendDevice(
    _ id: DeviceID, of owner: ClientID, until: Timestamp?, change: Change
  ) async throws(RegistryError) -> Device? { throw error }
  public func resumeDevice(
    _ id: DeviceID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Device? { throw error }
  public func deleteDevice(
    _ id: DeviceID, of owner: ClientID, maximumRows: Int, change: Change
  ) async throws(RegistryError) -> DeviceDeletion { throw error }
  public func recordExpiries(
    maximumRows: Int, change: Change
  ) async throws(RegistryError) -> [EndedDevice] { throw error }
  public func recordResumptions(
    maximumRows: Int, change: Change
  ) async throws(RegistryError) -> [EndedDevice] { throw error }
}

// Groups, and what an owner finds and changes of devices.
extension UnusableStore {
  public func devices(
    of clientID: ClientID, matching filter: DeviceFilter, at times: FilterTimes, after cursor: DeviceCursor?,
    limit: Int, scan: Int
  ) async throws(RegistryError) -> FoundDevices { throw error }
  public func countDevices(
    of clientID: ClientID, at times: FilterTimes, after cursor: DeviceCursor?, scan: Int
  ) async throws(RegistryError) -> (counts: DeviceCounts, readTo: DeviceCursor?) { throw error }
  public func updateDevice(
    _ id: DeviceID, of owner: ClientID, _ update: DeviceUpdate, change: Change
  ) async throws(RegistryError) -> Device? { throw error }
  public func putGroup(
    _ name: GroupName, of client: ClientID, description: String?, change: Change
  ) async throws(RegistryError) -> PutGroup { throw error }
  public func groups(
    of client: ClientID, after cursor: GroupName?, limit: Int, maximumDevices: Int
  ) async throws(RegistryError) -> [Group] { throw error }
  public func group(_ name: GroupName, of client: ClientID) async throws(RegistryError) -> Group? {
    throw error
  }
  public func deleteGroup(
    _ name: GroupName, of client: ClientID, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func clearDeletedGroups(
    of client: ClientID?, maximumRows: Int
  ) async throws(RegistryError) -> (rows: Int, isFound: Bool) { throw error }
  public func setMembership(
    of id: DeviceID, owner: ClientID, in group: GroupName, isMember: Bool, change: Change
  ) async throws(RegistryError) -> MembershipOutcome { throw error }
}

// Credentials.
extension UnusableStore {
  public func hasDevices() async throws(RegistryError) -> Bool { throw error }
  public func credentials(of id: DeviceID) async throws(RegistryError) -> DeviceCredentials? { throw error }
  public func rotateSecret(
    of id: DeviceID, of owner: ClientID, to verifier: SecretVerifier, graceExpiresAt: Timestamp,
    change: Change
  ) async throws(RegistryError) -> (device: Device, graceExpiresAt: Timestamp)? { throw error }
  public func promoteNextSecret(
    of id: DeviceID, owner: ClientID, hmacKeyHash: String, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func noteSigningAhead(
    of id: DeviceID, owner: ClientID, until time: Timestamp
  ) async throws(RegistryError) { throw error }
  public func insertToken(
    _ hash: TokenHash, of id: DeviceID, owner: ClientID, hmacKeyHash: String, expiresAt: Timestamp,
    at time: Timestamp, maxLive: Int, windowSeconds: Int
  ) async throws(RegistryError) -> Bool { throw error }
  public func credentials(
    ofToken hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> TokenCredentials? { throw error }
  public func recordActivity(
    _ devices: [ActiveDevice], offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> [EndedDevice] { throw error }
  public func recordOffline(
    maximumRows: Int, offlineAfterMilliseconds: Int64, change: Change
  ) async throws(RegistryError) -> (rows: Int, offline: [EndedDevice]) { throw error }
  public func removeTokens(expiredBefore time: Timestamp, limit: Int) async throws(RegistryError) -> Int {
    throw error
  }
}

// Statistics.
extension UnusableStore {
  public func statistics(
    of client: ClientID, devices: [DeviceID], from: Timestamp, to: Timestamp, step: StatisticsStep,
    isByDevice: Bool
  ) async throws(RegistryError) -> [StoredStatistics] { throw error }
  public func settleSignals(until time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    throw error
  }
  public func removeStatistics(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    throw error
  }
}

// Sealing.
extension UnusableStore {
  public func sealingKeys(limit: Int) async throws(RegistryError) -> Set<SealingKeyID> { throw error }
  public func sealDevices(after id: DeviceID?, limit: Int) async throws(RegistryError) -> SealingStep {
    throw error
  }
}

// Signals.
extension UnusableStore {
  public func recordHandOuts(_ handOuts: [HandOut]) async throws(RegistryError) -> [HandOut] { throw error }
  public func insertSignal(
    _ signal: Signal, to selector: DeviceSelector, bounds: SignalBounds, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress { throw error }
  public func continueSignal(
    _ signal: Signal, to selector: DeviceSelector, after progress: SignalProgress, step: Int, change: Change
  ) async throws(RegistryError) -> SignalProgress { throw error }
  public func signals(
    of clientID: ClientID, after cursor: SignalCursor?, limit: Int
  ) async throws(RegistryError) -> [SignalSummary] { throw error }
  public func signal(
    _ id: SignalID
  ) async throws(RegistryError) -> (signal: Signal, devices: Int, cancelledAt: Timestamp?)? { throw error }
  public func cancelSignal(
    _ id: SignalID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func countDeliveries(
    of id: SignalID, ackedUpTo time: Timestamp, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> (all: Int, acked: Int, last: DeviceID?) { throw error }
  public func deliveries(
    of id: SignalID, after cursor: DeviceID?, limit: Int
  ) async throws(RegistryError) -> [Delivery] { throw error }
  public func signals(
    for id: DeviceID, of owner: ClientID, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> DeviceSignals { throw error }
  public func acknowledge(
    _ acknowledgements: [Acknowledgement], by id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> [SignalID: Bool] { throw error }
  public func removeSignals(
    expiredBefore time: Timestamp, abandonedBefore: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int {
    throw error
  }
}

// Events.
extension UnusableStore {
  public func events(
    of client: ClientID, after position: EventPosition?, _ filter: EventFilter, limit: Int, scan: Int
  ) async throws(RegistryError) -> EventPage { throw error }
  public func eventsEnd() async throws(RegistryError) -> EventPosition { throw error }
  public func eventPosition(
    of client: ClientID, beforeLast count: Int
  ) async throws(RegistryError) -> EventPosition? { throw error }
  public func firstHiddenEvent() async throws(RegistryError) -> Timestamp? { throw error }
  public func removeEvents(before time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int {
    throw error
  }
}

// Webhooks.
extension UnusableStore {
  public func insertWebhook(
    _ webhook: Webhook, sealedSecret: [UInt8], changes: EventChanges, change: Change
  ) async throws(RegistryError) { throw error }
  public func webhook(_ id: WebhookID) async throws(RegistryError) -> DeliverableWebhook? { throw error }
  public func webhooks(of client: ClientID) async throws(RegistryError) -> [Webhook] { throw error }
  public func updateWebhook(
    _ webhook: Webhook, version: Int64, changes: EventChanges, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func deleteWebhook(
    _ id: WebhookID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func dueWebhooks(
    of clients: [ClientID], at time: Timestamp
  ) async throws(RegistryError) -> [DueWebhook] { throw error }
  public func dueWebhooks(
    after id: WebhookID?, at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [DueWebhook] { throw error }
  public func webhooksToRetry(
    at time: Timestamp, limit: Int
  ) async throws(RegistryError) -> [DueWebhook] { throw error }
  public func recordDeliveries(
    _ deliveries: [WebhookDelivery], of webhook: Webhook, version: Int64, progress: DeliveryProgress,
    change: Change
  ) async throws(RegistryError) -> Int64? { throw error }
  public func webhookDeliveries(
    of id: WebhookID, before cursor: DeliveryCursor?, limit: Int
  ) async throws(RegistryError) -> [LoggedDelivery] { throw error }
  public func removeWebhookDeliveries(
    before time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int { throw error }
  public func sealWebhooks(after id: WebhookID?, limit: Int) async throws(RegistryError) -> WebhookID? {
    throw error
  }
  public func webhookCounts() async throws(RegistryError) -> WebhookCounts { throw error }
}

// Enrolments.
extension UnusableStore {
  public func insertEnrolments(
    _ enrolments: [NewEnrolment], change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func enrolment(_ id: EnrolmentID) async throws(RegistryError) -> Enrolment? { throw error }
  public func enrolment(withCode hash: TokenHash) async throws(RegistryError) -> Enrolment? { throw error }
  public func enrolments(
    of client: ClientID, after id: EnrolmentID?, limit: Int
  ) async throws(RegistryError) -> [Enrolment] { throw error }
  public func deleteEnrolment(
    _ id: EnrolmentID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func enrol(
    _ device: Device, verifier: SecretVerifier, with id: EnrolmentID, maxDevices: Int, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func replaceSecret(
    of device: DeviceID, of owner: ClientID, by verifier: SecretVerifier, with id: EnrolmentID, change: Change
  ) async throws(RegistryError) -> Device? { throw error }
  public func removeEnrolments(
    endedBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int { throw error }
}

// Terminals.
extension UnusableStore {
  public func takeInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID, takesOver: Bool, silentSince: Timestamp,
    at time: Timestamp
  ) async throws(RegistryError) -> Bool { throw error }
  public func releaseInstance(
    _ instance: InstanceID, of id: DeviceID, owner: ClientID
  ) async throws(RegistryError) { throw error }
  public func recordContention(
    of id: DeviceID, owner: ClientID, by instance: InstanceID, recordedBefore: Timestamp, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func setContext(
    _ context: DeviceContext, of id: DeviceID, owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
}

// Idempotency.
extension UnusableStore {
  public func idempotencyKey(
    _ key: IdempotencyKey, of client: ClientID, maximum: Int
  ) async throws(RegistryError) -> (used: UsedIdempotencyKey?, isFull: Bool) { throw error }
  public func removeIdempotencyKeys(
    usedBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int { throw error }
}

// Telegram.
extension UnusableStore {
  public func insertTelegramCode(
    _ hash: TokenHash, of client: ClientID, expiresAt: Timestamp, change: Change
  ) async throws(RegistryError) { throw error }
  public func client(
    ofTelegramCode hash: TokenHash, at time: Timestamp
  ) async throws(RegistryError) -> ClientID? { throw error }
  public func insertTelegramLink(
    _ link: TelegramLink, withCode hash: TokenHash, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func telegramLink(_ id: TelegramLinkID) async throws(RegistryError) -> TelegramLink? { throw error }
  public func telegramLink(ofChat id: Int64) async throws(RegistryError) -> TelegramLink? { throw error }
  public func telegramLinks(of client: ClientID) async throws(RegistryError) -> [TelegramLink] { throw error }
  public func deleteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool { throw error }
  public func muteTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, until time: Timestamp?
  ) async throws(RegistryError) -> Bool { throw error }
  public func moveTelegramLink(
    _ id: TelegramLinkID, of owner: ClientID, to position: EventPosition
  ) async throws(RegistryError) -> Bool { throw error }
  public func telegramLinks(
    after id: TelegramLinkID?, limit: Int
  ) async throws(RegistryError) -> [TelegramLink] { throw error }
  public func nextTelegramUpdate(ofBot bot: Int64) async throws(RegistryError) -> Int64? { throw error }
  public func moveTelegramUpdates(
    ofBot bot: Int64, from previous: Int64?, to next: Int64
  ) async throws(RegistryError) -> Bool { throw error }
  public func removeTelegramCodes(
    expiredBefore time: Timestamp, maximumRows: Int
  ) async throws(RegistryError) -> Int { throw error }
}
