import Foundation
import Glibc
import TestSupport
import Testing

/// The service's notifications to systemd, in whose place the test has a socket.
@Suite("Under systemd")
struct SystemdTests {
  private let directory = TemporaryDirectory()

  private func serve(_ environment: [String]) throws -> Program {
    try Program(
      ["serve"],
      [
        "JWT_SECRET=0123456789abcdef0123456789abcdef", "DATABASE_URL=sqlite:\(directory.path)/registry.db",
        "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=",
      ] + environment)
  }

  @Test(arguments: [false, true])
  func `says when it serves, that it is alive, and when it stops`(isAbstract: Bool) async throws {
    let socket = try NotifySocket("\(directory.path)/notify", isAbstract: isAbstract)
    let program = try serve(["NOTIFY_SOCKET=\(socket.name)", "WATCHDOG_USEC=20000"])
    #expect(try await socket.receive() == "FDSTORE=1\nFDNAME=listen.127.0.0.1_0")
    #expect(try await socket.receive() == "READY=1")
    _ = try await program.errorLine(containing: #""event":"listening""#)
    // Again and again.
    for _ in 0..<3 { #expect(try await socket.receive() == "WATCHDOG=1") }
    program.send(SIGTERM)
    var last = try await socket.receive()
    while last == "WATCHDOG=1" { last = try await socket.receive() }
    #expect(last == "STOPPING=1")
    await program.expectEnd()
  }

  @Test(arguments: ["", "WATCHDOG_PID=1"])
  func `says that it is alive only where it is asked to`(watchdog: String) async throws {
    let socket = try NotifySocket("\(directory.path)/notify", isAbstract: false)
    let asked = watchdog.isEmpty ? [] : [watchdog, "WATCHDOG_USEC=1000"]
    let program = try serve(["NOTIFY_SOCKET=\(socket.name)"] + asked)
    #expect(try await socket.receive().hasPrefix("FDSTORE=1"))
    #expect(try await socket.receive() == "READY=1")
    program.send(SIGTERM)
    #expect(try await socket.receive() == "STOPPING=1")
    await program.expectEnd()
  }

  /// The stand-in is a script, which can pass descriptors.
  private func standIn(_ arguments: [String]) async throws -> String {
    let script = #filePath.prefix(through: #filePath.lastIndex(of: "/")!) + "systemd.py"
    let result = try await Program.run(
      [String(script), Program.built, directory.path] + arguments, ["PATH=/usr/bin:/bin"],
      executable: "/usr/bin/python3")
    try #require(result.status == 0, "\(result.errors)")
    return result.output
  }

  @Test(arguments: DatabaseKind.allCases)
  func `A restart under load fails no request`(_ kind: DatabaseKind) async throws {
    let database = await TestDatabase(kind)
    let output = try await standIn(["restarts", database.url])
    let seen = try #require(
      JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Double], "\(output)")
    #expect(seen["failed"] == 0 && seen["restarts"] == 3, "\(output)")
    #expect(try #require(seen["answered"]) > 100, "\(output)")
    // Of a debug build, beside other tests: the package's test has the bound of a second.
    #expect(try #require(seen["longest_seconds"]) < stretched(10.0), "\(output)")
  }

  @Test
  func `The sockets of a socket unit replace LISTEN, and need TLS where others can reach them`() async throws {
    #expect(try await standIn(["unit", "127.0.0.1"]).contains(#""event":"listening""#))
    let refused = try await standIn(["unit", "0.0.0.0"])
    #expect(refused.contains("can be reached from other machines"), "\(refused)")
    #expect(try await standIn(["unix"]).contains("not a listening TCP socket"))
  }

  @Test
  func `serves where nobody listens to it`() async throws {
    let program = try serve(["NOTIFY_SOCKET=\(directory.path)/none", "WATCHDOG_USEC=1000"])
    _ = try await program.errorLine(containing: #""event":"listening""#)
    program.send(SIGTERM)
    await program.expectEnd()
  }
}

/// A socket such as systemd makes for a service.
private final class NotifySocket: Sendable {
  /// As `NOTIFY_SOCKET` has it.
  let name: String
  private let descriptor: Int32

  init(_ path: String, isAbstract: Bool) throws {
    name = isAbstract ? "@\(path)" : path
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    // Long enough for a machine that is busy; a test that fails ends all the same.
    var timeout = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = (isAbstract ? [0] : []) + Array(path.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    let bound = withUnsafeBytes(of: address) {
      bind(descriptor, $0.assumingMemoryBound(to: sockaddr.self).baseAddress, length)
    }
    try #require(bound == 0)
  }

  deinit { close(descriptor) }

  /// The next message. Waits for it.
  func receive() async throws -> String {
    let message = await onOwnThread { [descriptor] in
      var message = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &message, message.count, 0)
      return Array(message.prefix(max(count, 0)))
    }
    try #require(!message.isEmpty, "nothing came")
    return String(decoding: message, as: UTF8.self)
  }
}
