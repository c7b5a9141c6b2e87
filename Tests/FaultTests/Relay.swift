import Foundation
import Glibc

/// A way to a PostgreSQL's Unix socket by TCP, which can be cut: then nothing passes any more in either direction, and
/// no side notices. Connections are still made and what is sent is acknowledged, as by a proxy whose other side is gone;
/// it arrives after `restore`. To lose packets, use `PacketFilter`.
///
/// `@unchecked Sendable`: `isCut` is touched under `gate`'s lock alone; the rest does not change.
final class Relay: @unchecked Sendable {
  let port: UInt16
  private let listener: Int32
  private let target: String
  private let gate = NSCondition()
  private var isCut = false

  /// - Parameter target: the path of the Unix socket.
  init(to target: String) throws {
    self.target = target
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 64) == 0 && getsockname(listener, $0, &length) == 0
      }
    }
    guard isBound else { throw Unmet("no relay: errno \(errno)") }
    self.listener = listener
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [self] in accept() }
  }

  /// Ends it; connections end with either of their sides.
  func close() {
    restore()
    shutdown(listener, Int32(SHUT_RDWR))
  }

  func cut() {
    gate.lock()
    isCut = true
    gate.unlock()
  }

  func restore() {
    gate.lock()
    isCut = false
    gate.broadcast()
    gate.unlock()
  }

  private func passGate() {
    gate.lock()
    while isCut { gate.wait() }
    gate.unlock()
  }

  private func accept() {
    while true {
      let client = Glibc.accept(listener, nil, nil)
      guard client >= 0 else { break }
      _ = fcntl(client, F_SETFD, FD_CLOEXEC)
      Thread.detachNewThread { [self] in serve(client) }
    }
    Glibc.close(listener)
  }

  private func serve(_ client: Int32) {
    passGate()
    let server = connectToTarget()
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread { [self] in
      pass(from: server, to: client)
      ended.signal()
    }
    pass(from: client, to: server)
    ended.wait()
    Glibc.close(client)
    Glibc.close(server)
  }

  private func pass(from source: Int32, to sink: Int32) {
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while case let count = recv(source, &buffer, buffer.count, 0), count > 0 {
      passGate()
      var sent = 0
      while sent < count {
        let written = buffer[sent..<count].withUnsafeBytes {
          send(sink, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard written > 0 else { break }
        sent += written
      }
    }
    passGate()
    shutdown(sink, Int32(SHUT_WR))
    shutdown(source, Int32(SHUT_RD))
  }

  private func connectToTarget() -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: target.utf8) }
    _ = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    return descriptor
  }
}
