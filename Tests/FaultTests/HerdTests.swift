import Foundation
import Glibc
import TestSupport
import Testing

@Suite("Strangers who take up room", .timeLimit(.minutes(5))) struct HerdTests {
  static let idleConnections = 10_000
  static let longestHonestAnswerMilliseconds = 5000

  @Test
  func `10,000 idle connections and 200 that sent half a request starve nobody; the halves are cut off`()
    async throws
  {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      let service = try Service(on: "sqlite:\(directory.path)/registry.db", logIn: directory)
      let owner = try await service.newOwner()
      let residentBefore = service.process.residentKiB
      let herd = Herd()
      let held = await herd.gather(Self.idleConnections, at: service.client.port)
      #expect(held == min(Self.idleConnections, Herd.most))
      let halves = try (0..<200).map { number in
        let socket = try ClientSocket(port: service.client.port, deadline: Date(timeIntervalSinceNow: 90))
        socket.write(Array(Self.halves[number % Self.halves.count].utf8))
        return socket
      }
      let begun = ContinuousClock.now
      try await wait(for: "all connections to be taken") {
        Int(try await service.metric("http_connections_open") ?? 0) >= held + halves.count
      }
      let taken = service.process.residentKiB

      let honest = try await honestAnswers(of: service, owner: owner)
      #expect(honest.longest < Self.longestHonestAnswerMilliseconds)
      // 40 KiB a connection at the very most, far less as long as nothing was sent.
      #expect(taken - residentBefore < stretched(40) * held)

      for socket in halves { #expect(try socket.isCutOff()) }
      let elapsed = Int((ContinuousClock.now - begun) / .seconds(1))
      #expect((25...60).contains(elapsed))
      await herd.disperse()
      print(
        "\(held) idle connections and 200 halves: \(residentBefore) KiB before, \(taken) KiB with them; honest "
          + "answers \(honest.typical) ms in the middle, \(honest.longest) ms at most; halves cut off within \(elapsed) s"
      )
      #expect(try service.stop() == 0)
    }
  }

  private static let halves = [
    "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Half: ",
    "POST /api/v1/devices HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{",
    "POST /api/v1/devices HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
  ]

  /// What somebody waits who registers devices and reads, milliseconds.
  private func honestAnswers(of service: Service, owner: String) async throws -> (typical: Int, longest: Int) {
    var times: [Int] = []
    for number in 1...30 {
      times.append(
        try await milliseconds {
          _ = try await service.newDevice(of: owner, "EA \(number)")
          _ = try await service.demand(200, "GET", "/api/v1/devices?limit=1", token: owner)
        })
    }
    times.sort()
    return (times[times.count / 2], times[times.count - 1])
  }

  @Test
  func `Without a free descriptor no new client is served, and it recovers`() async throws {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      let service = try Service(on: "sqlite:\(directory.path)/registry.db", logIn: directory)
      let owner = try await service.newOwner()
      var impatient = service.client
      impatient.deadlineSeconds = 1
      for hasConnections in [false, true] {
        // Enough of them that each loop has some.
        let kept = try (0..<(hasConnections ? 20 : 0)).map { _ in try KeptConnection(to: service) }
        try service.process.limit("nofile", to: "3")
        let refused = try? await impatient.send("GET", "/healthz")
        #expect(refused == nil)
        for connection in kept { #expect(try connection.ask() == 200) }
        try service.process.limit("nofile", to: "1024")
        // A loop at the limit accepts new connections when one of its connections ends.
        let elapsed = try await milliseconds {
          for connection in kept { connection.close() }
          _ = try await service.newDevice(of: owner, "after \(hasConnections)")
          for _ in 0..<20 { #expect(try await service.status("GET", "/healthz") == 200) }
        }
        #expect(elapsed < stretched(20_000))
        print("served again \(elapsed) ms after the limit on descriptors was gone")
      }
      #expect(try service.stop() == 0)
    }
  }

  @Test
  func `Bombs are refused, and the next request is answered`() async throws {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      let service = try Service(on: "sqlite:\(directory.path)/registry.db", logIn: directory)
      let owner = try await service.newOwner()
      let before = service.process.residentKiB
      for bomb in Self.bombs(owner: owner) {
        let elapsed = try await milliseconds {
          let status = try await status(of: bomb.bytes, at: service)
          #expect(bomb.statuses.contains(status), "\(bomb.name): \(status.map(String.init) ?? "cut off")")
        }
        #expect(elapsed < stretched(10_000), "\(bomb.name)")
        _ = try await service.demand(200, "GET", "/api/v1/devices", token: owner)
      }
      #expect(service.process.residentKiB - before < 64 * 1024)
      #expect(try service.stop() == 0)
    }
  }

  private struct Bomb {
    let name: String
    /// nil: cut off without an answer.
    let statuses: [Int?]
    let bytes: [UInt8]

    init(_ name: String, _ statuses: [Int?], head: String, body: String = "") {
      self.name = name
      self.statuses = statuses
      bytes = Array((head + "\r\n" + body).utf8)
    }
  }

  private static func bombs(owner: String) -> [Bomb] {
    let get = "GET /healthz HTTP/1.1\r\nHost: a\r\n"
    let post = "POST /api/v1/devices HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    let owned = post + "Authorization: Bearer \(owner)\r\n"
    func text(_ piece: String, _ count: Int) -> String { String(repeating: piece, count: count) }
    func sized(_ body: String) -> String { "Content-Length: \(body.utf8.count)\r\n" }
    let deep = text("[", 30_000) + text("]", 30_000)
    let deepObject = #"{"device_name": "# + text(#"{"a":"#, 10_000) + "1" + text("}", 10_001)
    let wide = #"{"device_name": "EA""# + (0..<4000).map { #","m\#($0)": 1"# }.joined() + "}"
    let digits = #"{"device_name": "# + text("9", 60_000) + "}"
    let tooLong = text(" ", 64 * 1024 + 1)
    let chunk = "4000\r\n" + text("x", 0x4000) + "\r\n"
    let nested = Data(text("[", 8000).utf8).base64EncodedString().replacing("=", with: "")
    return [
      Bomb("many fields", [431, nil], head: get + (0..<5000).map { "a\($0): b\r\n" }.joined()),
      Bomb("many fields of one letter", [431, nil, 200], head: get + text("a:\r\n", 2000)),
      Bomb("one field of a megabyte", [431, nil], head: get + "X: " + text("x", 1 << 20) + "\r\n"),
      Bomb(
        "a target of a megabyte", [414, 431, nil],
        head: "GET /" + text("x", 1 << 20) + " HTTP/1.1\r\nHost: a\r\n"),
      Bomb(
        "a token of 15 KiB", [401],
        head: get.replacing("/healthz", with: "/api/v1/devices")
          + "Authorization: Bearer " + text("x", 15 * 1024) + "\r\n"),
      Bomb(
        "a token whose header is deep", [401],
        head: get.replacing("/healthz", with: "/api/v1/devices")
          + "Authorization: Bearer \(nested).\(nested.prefix(2000)).AAAA\r\n"),
      Bomb("a body of a byte too much", [413], head: owned + sized(tooLong), body: tooLong),
      Bomb(
        "chunks of a byte too much", [413], head: owned + "Transfer-Encoding: chunked\r\n",
        body: text(chunk, 4) + "1\r\nx\r\n0\r\n\r\n"),
      Bomb(
        "chunks without end", [413, nil], head: owned + "Transfer-Encoding: chunked\r\n", body: text(chunk, 300)
      ),
      Bomb(
        "chunks of one byte", [413, 400], head: owned + "Transfer-Encoding: chunked\r\n",
        body: text("1\r\nx\r\n", 70_000) + "0\r\n\r\n"),
      Bomb("a deep array", [400], head: owned + sized(deep), body: deep),
      Bomb("a deep object", [400], head: owned + sized(deepObject), body: deepObject),
      Bomb("an array without end", [400], head: owned + sized(text("[", 60_000)), body: text("[", 60_000)),
      Bomb("a wide object", [400], head: owned + sized(wide), body: wide),
      Bomb("a number of 60,000 digits", [400], head: owned + sized(digits), body: digits),
    ]
  }

  private func status(of bytes: [UInt8], at service: Service) async throws -> Int? {
    let socket = try ClientSocket(port: service.client.port, deadline: Date(timeIntervalSinceNow: 60))
    socket.write(bytes)
    let words = String(decoding: try socket.read().prefix(100), as: UTF8.self).split(separator: " ")
    return words.count > 1 ? Int(words[1]) : nil
  }
}

/// A connection that is kept open between requests.
private final class KeptConnection {
  private let socket: ClientSocket

  init(to service: Service) throws {
    socket = try ClientSocket(port: service.client.port, deadline: Date(timeIntervalSinceNow: 60))
    guard try ask() == 200 else { throw Unmet("not served") }
  }

  func ask() throws -> Int? {
    socket.write(Array("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
    let words = String(decoding: try socket.read(), as: UTF8.self).split(separator: " ")
    return words.count > 1 ? Int(words[1]) : nil
  }

  func close() { shutdown(socket.descriptor, Int32(SHUT_RDWR)) }
}

extension ClientSocket {
  /// Waits until the other side closes; whether it did so without an answer that says all is well.
  fileprivate func isCutOff() throws -> Bool {
    var text = ""
    while case let piece = try read(), !piece.isEmpty { text += String(decoding: piece, as: UTF8.self) }
    return !text.contains(" 200 ")
  }
}

/// Silent connections that a separate process holds open: their descriptors are too many for the
/// process of all tests.
private struct Herd {
  private let shell = SupervisingShell([
    "/bin/sh", "-c", #"ulimit -n "$(ulimit -Hn)"; exec python3 -c "$0""#, script,
  ])

  /// The most that the system lets a process hold, beside what the service needs for itself.
  static var most: Int {
    var limits = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
    return Int(clamping: limits.rlim_max) - 1000
  }

  /// Connects; answers how many connections there are.
  func gather(_ count: Int, at port: UInt16) async -> Int {
    Int(await shell.order("\(port) \(min(count, Self.most))")) ?? 0
  }

  func disperse() async { await shell.end() }

  private static let script = """
    import socket, sys
    port, count = map(int, sys.stdin.readline().split())
    herd = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(count)]
    print(len(herd), flush=True)
    sys.stdin.read()
    """
}
