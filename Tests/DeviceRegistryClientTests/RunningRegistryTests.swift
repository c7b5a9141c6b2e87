import DeviceRegistryClient
import Foundation
import TestSupport
import Testing

/// The library and the service together.
@Suite("Against the running service")
struct RunningRegistryTests {
  private let directory = TemporaryDirectory()

  @Test
  func `An owner registers, lists, reads, renames and revokes`() async throws {
    let registry = try await RunningRegistry.start(clients: ["alice", "bob"], in: directory)
    let alice = try OwnerClient(url: registry.url, token: try await registry.token("alice"))
    let first = try await alice.register(name: "EA-Main")
    let second = try await alice.register(name: "EA-Other")
    #expect(try first.credentials().id == first.device.id && first.device.clientID == "alice")
    #expect(try await alice.listDevices().map(\.id) == [first.device.id, second.device.id])
    #expect(try await alice.rename(first.device.id, to: "EA-Café").name == "EA-Café")
    #expect(try await alice.device(first.device.id).name == "EA-Café")
    try await alice.revoke(first.device.id)
    try await alice.revoke(first.device.id)
    let revoked = try await alice.device(first.device.id)
    #expect(revoked.isRevoked && !revoked.isActive)

    let taken = await failure { () throws(RegistryClientError) in try await alice.register(name: "EA-Other") }
    #expect(taken?.problem?.kind == "device-name-taken" && taken?.problem?.status == 409)
    let empty = await failure { () throws(RegistryClientError) in try await alice.register(name: " ") }
    #expect(empty?.problem?.errors.map(\.field) == ["device_name"])
    let bob = try OwnerClient(url: registry.url, token: try await registry.token("bob"))
    let foreign = await failure { () throws(RegistryClientError) in try await bob.device(second.device.id) }
    #expect(foreign?.problem?.status == 403)
    let stranger = try OwnerClient(url: registry.url, token: "none")
    let refused = await failure { () throws(RegistryClientError) in try await stranger.listDevices() }
    #expect(refused?.problem?.status == 401)
  }
}
