import Foundation
import TestSupport
import Testing

@testable import DeviceRegistryClient

@Suite("The registry's URL")
struct OriginTests {
  @Test(arguments: [
    "https://registry.example.com", "https://registry.example.com:8443/", "http://localhost:8000",
    "http://127.0.0.1", "http://127.1.2.3:80/", "http://[::1]:8000", "HTTPS://Registry.example.com",
  ])
  func `is https, or http on this machine`(url: String) throws {
    let origin = try Origin(url, allowsInsecureHTTP: false)
    let base = url.hasSuffix("/") ? String(url.dropLast()) : url
    let target = "/api/v1/device/poll?wait=1&max=2"
    #expect(origin.url(target) == base.lowercased() + target)
  }

  @Test(arguments: [
    "", "registry.example.com", "ftp://registry.example.com", "http://registry.example.com",
    "http://127.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1",
    "https://user@registry.example.com",
    "https://registry.example.com/path", "https://registry.example.com?a", "https://registry.example.com#a",
    "https://", "http://localhost.example.com",
  ])
  func `is nothing else`(url: String) {
    #expect(throws: RegistryClientError.self) { try Origin(url, allowsInsecureHTTP: false) }
  }

  @Test
  func `is http elsewhere where that is asked for by name, and nothing worse`() throws {
    #expect(try Origin("http://10.0.0.1:8000", allowsInsecureHTTP: true).authority == "10.0.0.1:8000")
    #expect(throws: RegistryClientError.self) { try Origin("ftp://10.0.0.1", allowsInsecureHTTP: true) }
  }
}

@Suite("Pauses before another attempt")
struct RetryPolicyTests {
  @Test
  func `double until they are at their longest, and half of each is up to chance`() {
    let policy = RetryPolicy(firstPauseMilliseconds: 100, maximumPauseMilliseconds: 1000)
    for (failures, longest) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (1_000_000, 1000)] {
      let pauses = (0..<1000).map {
        policy.pause(afterFailures: failures, retryAfterSeconds: nil, random: UInt64($0))
      }
      #expect(pauses.min() == .milliseconds(longest / 2) && pauses.max() == .milliseconds(longest))
    }
  }

  @Test(arguments: [(7, 7), (121, 120), (-3, 0), (Int64.max, 120)] as [(Int64, Int64)])
  func `are no shorter than Retry-After, which has a bound`(asked: Int64, honoured: Int64) {
    let pause = RetryPolicy().pause(afterFailures: 1, retryAfterSeconds: asked, random: 0)
    #expect(pause == .seconds(honoured) + .milliseconds(125))
  }

  @Test
  func `can be as extreme as numbers go`() {
    let policy = RetryPolicy(
      maximumAttempts: -1, firstPauseMilliseconds: .max, maximumPauseMilliseconds: .max,
      maximumRetryAfterSeconds: -1)
    #expect(policy.maximumAttempts == 1)
    #expect(policy.pause(afterFailures: 9, retryAfterSeconds: 5, random: .max) > .seconds(1))
    let none = RetryPolicy(firstPauseMilliseconds: 0, maximumPauseMilliseconds: 0)
    #expect(none.pause(afterFailures: 9, retryAfterSeconds: nil, random: .max) == .zero)
  }
}

@Suite("One exchange over HTTP")
struct TransportTests {
  private func transport(to registry: StandInRegistry) throws -> Transport {
    try Transport(origin: Origin(registry.url, allowsInsecureHTTP: false), caFile: nil)
  }

  @Test
  func `ends at its deadline`() async throws {
    let registry = StandInRegistry { _, _ in .silence }
    let transport = try transport(to: registry)
    let call = Call(method: "GET", target: "/", timeoutSeconds: 0.05)
    let error = await failure { () throws(RegistryClientError) in try await transport.exchange(call, fields: [])
    }
    #expect(error == .timedOut(seconds: 0.05))
    #expect(error?.isTransient == true)
  }

  @Test
  func `has a bound in size that counts to the byte`() async throws {
    let registry = StandInRegistry { _, _ in .reply(Reply(body: [UInt8](repeating: 0, count: 100))) }
    let transport = try transport(to: registry)
    let fits = Call(method: "GET", target: "/", maximumAnswerBytes: 100)
    #expect(try await transport.exchange(fits, fields: []).body.count == 100)
    let larger = Call(method: "GET", target: "/", maximumAnswerBytes: 99)
    #expect(
      await failure { () throws(RegistryClientError) in try await transport.exchange(larger, fields: []) }
        == .answerTooLarge(limitBytes: 99))
  }

  @Test
  func `asks for no coding, sends no cookie back, and leaves the body as it is`() async throws {
    let registry = StandInRegistry { _, _ in .reply(Reply(fields: [("Set-Cookie", "a=b"), ("X-Y", "z")])) }
    let transport = try transport(to: registry)
    let call = Call(method: "POST", target: "/p?q", body: Data(" {} ".utf8))
    for _ in 0..<2 {
      #expect(try await transport.exchange(call, fields: [("X-A", "b")]).value(of: "x-y") == "z")
    }
    for request in registry.received {
      #expect(request.body == Array(" {} ".utf8) && request.target == "/p?q" && request.fields["x-a"] == "b")
      #expect(request.fields["accept-encoding"] == "identity" && request.fields["cookie"] == nil)
    }
  }
}

extension TransportTests {
  @Test
  func `has a bound on header fields too`() async throws {
    let line = ("X-Padding", String(repeating: "x", count: 1000))
    let registry = StandInRegistry { _, _ in .reply(Reply(fields: Array(repeating: line, count: 70))) }
    let transport = try transport(to: registry)
    let call = Call(method: "GET", target: "/")
    #expect(
      await failure { () throws(RegistryClientError) in try await transport.exchange(call, fields: []) }
        == .answerTooLarge(limitBytes: Call.maximumHeaderBytes))
  }

  @Test
  func `sends the target unchanged, and the length of a POST without a body`() async throws {
    let registry = StandInRegistry { _, _ in .reply(Reply()) }
    let transport = try transport(to: registry)
    let call = Call(method: "POST", target: "/a/../b%7e?c=%2F")
    _ = try await transport.exchange(call, fields: [])
    let request = try #require(registry.received.first)
    #expect(request.method == "POST" && request.target == call.target)
    #expect(request.fields["content-length"] == "0" && request.fields["content-type"] == nil)
  }

  @Test
  func `uses the connection of the one before`() async throws {
    let registry = StandInRegistry { _, _ in .reply(Reply()) }
    let transport = try transport(to: registry)
    for method in ["GET", "POST", "DELETE"] {
      #expect(try await transport.exchange(Call(method: method, target: "/"), fields: []).status == 200)
    }
    #expect(registry.received.map(\.method) == ["GET", "POST", "DELETE"] && registry.connectionCount == 1)
  }

  @Test
  func `waits for a connection when all are in use, until its deadline or its cancellation`() async throws {
    let registry = StandInRegistry { _, _ in .silence }
    let transport = try transport(to: registry)
    var arrivals = registry.arrivals.makeAsyncIterator()
    let parked = (0..<TransferThread.maximumConnections).map { _ in
      Task {
        await failure { () throws(RegistryClientError) in
          try await transport.exchange(Call(method: "GET", target: "/parked"), fields: [])
        }
      }
    }
    for _ in parked { _ = await arrivals.next() }
    let waiting = Call(method: "GET", target: "/waiting", timeoutSeconds: 0.05)
    let error = await failure { () throws(RegistryClientError) in
      try await transport.exchange(waiting, fields: [])
    }
    #expect(error == .timedOut(seconds: 0.05))
    for task in parked { task.cancel() }
    for task in parked { #expect(await task.value == .cancelled) }
    #expect(registry.received.allSatisfy { $0.target == "/parked" })
    #expect(registry.connectionCount == TransferThread.maximumConnections)
  }
}

@Suite("A device's secret from a file")
struct SecretFileTests {
  private let directory = TemporaryDirectory()

  private func credentials(_ text: String, permissions: Int = 0o600) throws -> DeviceCredentials {
    let path = "\(directory.path)/\(UUID().uuidString)"
    let attributes: [FileAttributeKey: Any] = [.posixPermissions: permissions]
    #expect(FileManager.default.createFile(atPath: path, contents: Data(text.utf8), attributes: attributes))
    return try DeviceCredentials(id: StandInDevices.id, secretFile: path)
  }

  @Test(arguments: ["", "\n", "\r\n"])
  func `may have a line break after it`(end: String) throws {
    #expect(try credentials(StandInDevices.secret + end).id == StandInDevices.id)
  }

  @Test(arguments: ["x", "\n\n\n", " "])
  func `is refused where it is longer, shorter or not hexadecimal`(end: String) {
    #expect(throws: RegistryClientError.self) { try credentials(StandInDevices.secret + end) }
    #expect(throws: RegistryClientError.self) { try credentials(end) }
  }

  @Test(arguments: [0o640, 0o604, 0o666])
  func `is refused where others may read it, and where there is none`(mode: Int) throws {
    #expect(throws: RegistryClientError.self) { try credentials(StandInDevices.secret, permissions: mode) }
    #expect(throws: RegistryClientError.secretFile(path: "/none", message: "No such file or directory")) {
      try DeviceCredentials(id: StandInDevices.id, secretFile: "/none")
    }
    #expect(throws: RegistryClientError.self) {
      try DeviceCredentials(id: StandInDevices.id, secretFile: directory.path)
    }
  }
}

@Suite("Parts of a JSON text")
struct JSONTextTests {
  @Test(arguments: [
    (#"{"a":1,"b":2}"#, "b", "2"), (#" { "b" : [ 1 , {"b":3} ] , "c":0 } "#, "b", #"[ 1 , {"b":3} ]"#),
    (#"{"a":"\"b\":1,","b":"x\\"}"#, "b", #""x\\""#), (#"{"ab":1,"b":{}}"#, "b", "{}"),
    (#"{"b":1,"b":2}"#, "b", "2"), (#"{"\u0062":1}"#, "b", "1"), (#"{"a\"b":1,"b":2}"#, "b", "2"),
  ])
  func `are found as they are written`(text: String, name: String, value: String) throws {
    let member = try #require(JSONText(Data(text.utf8)[...]).member(name))
    #expect(String(decoding: member.bytes, as: UTF8.self) == value)
  }

  @Test(arguments: ["{}", "[]", "1", "", "null", #"{"a":{"b":1}}"#, #"["b",1]"#, "{"])
  func `are none where there are none`(text: String) {
    #expect(JSONText(Data(text.utf8)[...]).member("b") == nil)
  }

  @Test(
    arguments: [("[]", 0), ("[ ]", 0), ("[1]", 1), (#"[[1,2],{"a":[3]},",",4]"#, 4), ("{}", nil)]
      as [(String, Int?)])
  func `Elements are separated`(text: String, count: Int?) {
    #expect(JSONText(Data(text.utf8)[...]).elements?.count == count)
  }
}
