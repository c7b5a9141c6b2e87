import Glibc
import TestSupport

/// A TCP port that accepts connections and never sends anything.
final class SilentListener: Sendable {
  let port: UInt16
  private let descriptor: Int32

  init() {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        precondition(bind(descriptor, address, length) == 0)
        precondition(listen(descriptor, 16) == 0)
        precondition(getsockname(descriptor, address, &length) == 0)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }

  /// Waits for a connection.
  func waitForConnection() async throws {
    var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    try await wait { poll(&event, 1, 0) == 1 }
  }
}
