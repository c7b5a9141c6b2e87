import API
import HTTP
import Registry
import TestSupport
import Testing

@Suite struct Events {
  @Test func `An answered request is reported with its route, its method and its status`() async throws {
    let api = APIUnderTest(storeThrows: .deviceNotFound)
    _ = try await api.answer("GET", "/api/v1/devices/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a?token=SECRET")
    let request = try #require(api.answered.first)
    #expect(api.answered.count == 1)
    #expect(request.route == "/api/v1/devices/{id}" && request.method == "GET" && request.status == 400)
    #expect(request.requestID == "test-1")
    #expect(request.durationNanoseconds > 0)
  }

  @Test func `A request without a route is reported without its path, and an unknown method without its name`()
    async throws
  {
    let api = APIUnderTest()
    _ = try await api.answer("GET", "/coffee/SECRET")
    _ = try await api.answer("SECRET", "/api/v1/devices")
    _ = api.refuse(.missingHost)
    #expect(api.answered.map(\.route) == ["none", "none", "none"])
    #expect(api.answered.map(\.method) == ["GET", "other", "other"])
    #expect(api.answered.map(\.status) == [404, 405, 400])
  }

  @Test func `A request that fails is reported with its cause, once`() async throws {
    let api = APIUnderTest(storeThrows: .unavailable(cause: "gone"))
    _ = try await api.answer("POST", "/api/v1/devices/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a/revoke")
    #expect(api.answered.map(\.status) == [503])
    #expect(api.answered.map(\.cause) == ["gone"])
    #expect(api.answered.map(\.problem) == ["unavailable"])
  }

  @Test func `The caller is reported where it was proved, and never where it was only claimed`() async throws {
    let owner = APIUnderTest(storeThrows: .deviceNotFound)
    let path = "/api/v1/devices/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a"
    _ = try await owner.answer("GET", path)
    _ = try await owner.answer("GET", "/api/v1/clients/bob")
    _ = try await owner.answer("GET", path, [])
    _ = try await owner.answer("GET", "/healthz")
    let alice = ProvedCaller.client(try #require(ClientID("alice")))
    #expect(owner.answered.map(\.caller) == [alice, alice, nil, nil])
    let stranger = APIUnderTest(token: .failure(.invalid(reason: "the token has expired")))
    _ = try await stranger.answer("GET", path)
    #expect(stranger.answered.map(\.caller) == [nil])
  }

  @Test func `Calls that programs repeat are routine`() async throws {
    let api = APIUnderTest()
    for target in ["/healthz", "/readyz", "/api/v1/device/poll", "/api/v1/devices", "/openapi.json", "/coffee"]
    {
      _ = try await api.answer("GET", target)
    }
    #expect(api.answered.map(\.isRoutine) == [true, true, true, false, false, false])
  }
}
