public import Foundation
import Glibc

/// A blocking connection to a port of this machine, which gives up at a deadline.
public final class ClientSocket {
  public let descriptor: Int32
  private let deadline: Date

  /// - Parameters:
  ///   - host: an address of this machine.
  ///   - source: the address that it comes from, one of 127.0.0.0/8; nil for the system's choice.
  public init(to host: String = "127.0.0.1", port: UInt16, from source: String? = nil, deadline: Date) throws {
    self.deadline = deadline
    descriptor = socket(
      host.contains(":") ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw HTTPClientError("no socket: errno \(errno)") }
    if let source, Self.with(source, port: 0, { Glibc.bind(descriptor, $0, $1) }) != 0 {
      throw HTTPClientError("not bound to \(source): errno \(errno)")
    }
    guard Self.with(host, port: port, { connect(descriptor, $0, $1) }) == 0 else {
      throw HTTPClientError("not connected to port \(port): errno \(errno)")
    }
  }

  private static func with(
    _ host: String, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &found) == 0, let found else { return -1 }
    defer { freeaddrinfo(found) }
    return body(found.pointee.ai_addr, found.pointee.ai_addrlen)
  }

  deinit { close(descriptor) }

  /// A peer that answers and closes before it read everything is no error: its answer is what counts.
  public func write(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  /// What has arrived; nothing once the peer closed.
  public func read() throws -> [UInt8] {
    let milliseconds = deadline.timeIntervalSinceNow * 1000
    var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard milliseconds > 0, Glibc.poll(&poll, 1, Int32(milliseconds)) == 1 else {
      throw HTTPClientError("no answer before the deadline")
    }
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count > 0 ? Array(buffer[..<count]) : []
  }

  /// Destroys the connection, in place of ending it in order: the peer gets an RST.
  public func reset() {
    // Linux: to connect to no address is to disconnect (connect(2)).
    var nowhere = sockaddr(
      sa_family: sa_family_t(AF_UNSPEC), sa_data: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
  }
}
