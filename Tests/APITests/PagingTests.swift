@testable import API
@testable import Endpoints
import Registry
import TestSupport
import Testing

@Suite struct Paging {
  private let api = APIUnderTest(storeThrows: .fault(cause: "reached"))

  @Test(arguments: ["limit=1", "limit=1000", "limit=0007", "", "limit=%31", "&&limit=1&", "%6cimit=1"])
  func `Good parameters reach the registry`(_ query: String) async throws {
    #expect(try await api.answer("GET", "/api/v1/devices?" + query).status == 500)
    #expect(try await api.answer("GET", "/api/v1/clients?" + query).status == 500)
  }

  @Test(arguments: [
    ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"), ("limit=", "limit"),
    ("limit", "limit"),
    ("limit=x", "limit"), ("limit=+1", "limit"), ("limit=1&limit=1", "limit"), ("limit=%ff", "limit"),
    ("limit=99999999999999999999", "limit"), ("cursor=", "cursor"), ("cursor=x", "cursor"),
    ("cursor=AAAA", "cursor"), ("cursor=a&cursor=a", "cursor"), ("cursor=%00", "cursor"),
  ])
  func `A bad parameter is named`(_ query: String, _ name: String) async throws {
    for path in ["/api/v1/devices?", "/api/v1/clients?"] {
      let answer = try await api.answer("GET", path + query)
      #expect(answer.status == 400)
      #expect((try answer.object()["errors"] as? [[String: String]])?.map { $0["field"] } == [name])
    }
  }

  @Test func `Each list documents its default limit`() {
    func meaning<Cursor: PageCursor>(_ type: Cursor.Type) -> String {
      PageInput<Cursor>.description.parameters[0].meaning
    }
    #expect(meaning(DeviceCursor.self) == "Maximum number per page; default 1000.")
    #expect(meaning(ClientCursor.self) == "Maximum number per page; default 1000.")
  }

  @Test func `A cursor is read back as it was written`() throws {
    let time = Timestamp(millisecondsSince1970: 1_795_000_000_123)
    let device = DeviceCursor(createdAt: time, id: DeviceID("01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a")!)
    #expect(DeviceCursor(bytes: device.bytes) == device)
    let client = ClientCursor(createdAt: time, id: ClientID("a/b%~")!)
    #expect(ClientCursor(bytes: client.bytes) == client)
  }

  @Test func `A cursor's time is one that a database can hold`() {
    let id = Array(repeating: UInt8(1), count: 16)
    #expect(DeviceCursor(bytes: [0x80, 0, 0, 0, 0, 0, 0, 0] + id) == nil)
    #expect(DeviceCursor(bytes: [0, 1, 0, 0, 0, 0, 0, 0] + id) == nil)
    #expect(DeviceCursor(bytes: [0, 0, 0, 0, 0, 0, 0, 0] + id) != nil)
  }
}
