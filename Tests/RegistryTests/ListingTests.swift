import Registry
import Synchronization
import TestSupport
import Testing

@Suite("A list of devices") struct ListingTests {
  @Test(arguments: [0, 999, 1000, 2500])
  func `has at most 1000 without a limit, and leads to the rest`(count: Int) async throws {
    let store = ListStore(count: count)
    var (listed, pages, next): ([Device], Int, DeviceCursor?) = ([], 0, nil)
    repeat {
      let page = try await service(store).listDevices(clientID: store.client, after: next)
      listed += page.elements
      (pages, next) = (pages + 1, page.next)
    } while next != nil
    #expect(listed == store.devices)
    #expect(store.limits.withLock { $0 } == Array(repeating: 1001, count: max(1, (count + 999) / 1000)))
    #expect(pages == max(1, (count + 999) / 1000))
  }

  @Test
  func `has a next page while there is more`() async throws {
    let store = ListStore(count: 3)
    let page = try await service(store).listDevices(clientID: store.client, limit: 2)
    #expect(page.elements.elementsEqual(store.devices.prefix(2)))
    let rest = try await service(store).listDevices(clientID: store.client, limit: 2, after: page.next)
    #expect(rest.elements.elementsEqual(store.devices.suffix(1)) && rest.next == nil)
  }

  private func service(_ store: ListStore) -> DeviceService {
    let limits = RateLimits(RateLimits.Settings(), random: CountingRandom(), monotonicMilliseconds: { 0 })
    return Services(
      store: store, live: LiveDevices(monotonicMilliseconds: { 0 }), replay: Unused(), hasher: Unused(),
      limits: limits, clock: Unused(), random: CountingRandom(), observer: Unobserved(), skewSeconds: 300,
      maxDevicesPerClient: 1
    ).devices
  }
}

/// The devices of one client, and the limit of each query.
private final class ListStore: UnusableStore {
  let client = ClientID("alice")!
  let devices: [Device]
  let limits = Mutex<[Int]>([])

  init(count: Int) {
    devices = try! (0..<count).map { [client] index in
      Device(
        registered: DeviceID(high: 0, low: UInt64(index)), clientID: client,
        deviceName: try DeviceName("device \(index)"), at: Timestamp(millisecondsSince1970: Int64(index / 7)))
    }
  }

  func client(_ id: ClientID) async throws(RegistryError) -> Client? {
    Client(id: id, email: nil, telegramID: nil, createdAt: Timestamp(millisecondsSince1970: 0))
  }

  func devices(
    of clientID: ClientID, after cursor: DeviceCursor?, limit: Int
  ) async throws(RegistryError) -> [Device] {
    limits.withLock { $0.append(limit) }
    return Array(devices.drop { device in cursor.map { device.id.low <= $0.id.low } ?? false }.prefix(limit))
  }

  let error = RegistryError.fault(cause: "not for this test")
}

struct Unused: PasswordHasher, ReplayStore, Clock {
  func remember(_ nonce: SignedNonce) async throws(RegistryError) -> Bool { false }
  func verifier(
    for secret: DeviceSecret, of client: ClientID, isRotation: Bool
  ) async throws(RegistryError) -> SecretVerifier {
    throw .fault(cause: "not for this test")
  }
  func storedKeyTest(of secret: DeviceSecret) -> (_ storedKey: [UInt8]) -> Bool { { _ in false } }
  func verify(
    _ secret: DeviceSecret, against hmacKeyHash: String, of client: ClientID
  ) async throws(RegistryError) -> Bool { false }
  func hash(ofToken characters: UnsafeBufferPointer<UInt8>) -> TokenHash {
    TokenHash(Array(repeating: 0, count: TokenHash.length))
  }
  func now() -> Timestamp { Timestamp(millisecondsSince1970: 0) }
}
