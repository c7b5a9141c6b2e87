import Glibc

/// Drops the packets from and to one port of this machine, like a failing network: nobody notices, connections
/// are not made and what is sent is not acknowledged. It takes root, and nftables in the kernel.
struct PacketFilter {
  private let table: String
  private let port: UInt16

  /// - Parameter port: of TCP.
  init(port: UInt16) {
    table = "inet device_registry_test_\(port)"
    self.port = port
  }

  func drop() throws {
    let rules = "tcp dport \(port) drop; tcp sport \(port) drop;"
    guard Self.nft("table \(table) { chain input { type filter hook input priority 0; \(rules) }; }") else {
      throw Unmet("nothing is dropped")
    }
  }

  /// Drops no more; also where nothing was dropped.
  func pass() { _ = Self.nft("table \(table) {}; delete table \(table)") }

  static let isPossible =
    getuid() == 0 && nft("table inet device_registry_test {}; delete table inet device_registry_test")

  private static func nft(_ commands: String) -> Bool { (try? run(["/usr/sbin/nft", commands])) == 0 }

  /// One that nobody listens on, and that neither the system nor `RedisServer` hands out.
  static func freePort() throws -> UInt16 {
    for _ in 0..<maximumTries {
      let port = UInt16.random(in: 10_000..<20_000)
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      defer { close(descriptor) }
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      let isFree = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
      }
      if isFree { return port }
    }
    throw Unmet("no free port")
  }

  private static let maximumTries = 100
}
