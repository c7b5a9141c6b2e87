import HTTP
import Testing

@Suite("A router")
struct RouterTests {
  private static let names = ["list", "create", "get", "revoke"]
  private let router = Router([
    ("GET", "/devices"), ("POST", "/devices"), ("GET", "/devices/{id}"), ("POST", "/devices/{id}/revoke"),
  ])

  @Test(arguments: [
    ("GET", "/devices", "list", []), ("HEAD", "/devices", "list", []), ("POST", "/devices", "create", []),
    ("GET", "/devices/a%2Fb%2525", "get", ["a/b%25"]), ("POST", "/devices/1/revoke", "revoke", ["1"]),
  ])
  func `finds the route and the parameters of a path, decoded once`(
    method: String, path: String, name: String, parameters: [String]
  ) {
    guard case .found(let found, let decoded) = router.match(method: method, path: path[...]) else {
      Issue.record("\(method) \(path) was not found")
      return
    }
    #expect(Self.names[found] == name)
    #expect(decoded == parameters)
  }

  @Test(arguments: ["/devices/%", "/devices/%zz", "/devices/%ff"])
  func `says which parameter cannot be decoded`(path: String) {
    guard case .found(_, let parameters) = router.match(method: "GET", path: path[...]) else {
      Issue.record("\(path) was not found")
      return
    }
    #expect(parameters == [nil])
  }

  @Test(arguments: ["/", "", "/Devices", "/devices/", "/device%73", "//devices", "/devices/1/2"])
  func `takes a path literally`(path: String) {
    guard case .notFound = router.match(method: "GET", path: path[...]) else {
      Issue.record("\(path) was found")
      return
    }
  }

  @Test
  func `prefers a path without parameters, wherever it stands`() {
    let router = Router([("GET", "/devices/{id}"), ("GET", "/devices/summary")])
    guard case .found(let found, let parameters) = router.match(method: "GET", path: "/devices/summary") else {
      Issue.record("it was not found")
      return
    }
    #expect(found == 1)
    #expect(parameters == [])
  }

  @Test
  func `names the methods that a path has`() {
    guard case .methodNotAllowed(let allow) = router.match(method: "DELETE", path: "/devices") else {
      Issue.record("DELETE is allowed")
      return
    }
    #expect(allow == "GET, HEAD, POST")
  }
}

@Suite("Query parameters")
struct QueryParametersTests {
  @Test
  func `are decoded, and a plus is a plus`() throws {
    let query = QueryParameters("a=1&b=x%20y+z&c&d=&e=1=2")
    #expect(try query.value(of: "a") == "1")
    #expect(try query.value(of: "b") == "x y+z")
    #expect(try query.value(of: "c") == "")
    #expect(try query.value(of: "d") == "")
    #expect(try query.value(of: "e") == "1=2")
    #expect(try query.value(of: "f") == nil)
    #expect(try QueryParameters(nil).value(of: "a") == nil)
  }

  @Test
  func `that are repeated or broken are refused, if they are asked for`() throws {
    let query = QueryParameters("a=1&a=1&b=%&c=1&d=1&d=2")
    #expect(throws: QueryParameters.Failure.repeated) { try query.value(of: "a") }
    #expect(throws: QueryParameters.Failure.badEncoding) { try query.value(of: "b") }
    #expect(try query.value(of: "c") == "1")
  }
}

@Suite("A byte buffer")
struct ByteBufferTests {
  @Test
  func `keeps what is appended while it grows`() {
    let buffer = ByteBuffer(capacity: 1, isSensitive: true)
    for _ in 0..<1000 {
      buffer.append(utf8: "é")
      buffer.append("ab")
      buffer.append(UInt8(ascii: "c"))
      buffer.append(length: 1) { $0[0] = UInt8(ascii: "d") }
    }
    #expect(buffer.withBytes { String(decoding: $0, as: UTF8.self) } == String(repeating: "éabcd", count: 1000))
  }
}
