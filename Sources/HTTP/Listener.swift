internal import Glibc

/// A listening address: one socket per event loop, among which the system distributes the connections (SO_REUSEPORT).
public struct Listener: Sendable {
  /// One socket per event loop. The server that takes it also closes it.
  public let descriptors: [Int32]
  /// The port, also if the system chose it.
  public let port: UInt16

  /// - Parameters:
  ///   - host: a name or an address, without brackets.
  /// - port: 0 chooses a free one.
  /// - setting: the setting to change if the port is in use.
  public init(
    host: String, port: UInt16, count: Int, backlog: Int, setting: String = "LISTEN"
  ) throws(ListenerError) {
    let what = Wanted(name: "\(host.contains(":") ? "[\(host)]" : host):\(port)", setting: setting)
    var address = try Self.resolve(host, port: port, what: what)
    if port != 0 {
      // SO_REUSEPORT would let a second process share the port unnoticed: a socket without it fails if another process
      // listens.
      close(try Self.bind(&address, isShared: false, what: what))
    }
    var descriptors: [Int32] = []
    do throws(ListenerError) {
      for _ in 0..<count {
        let descriptor = try Self.bind(&address, isShared: true, what: what)
        descriptors.append(descriptor)
        guard listen(descriptor, Int32(backlog)) == 0 else { throw ListenerError(what: what, code: errno) }
      }
    } catch {
      for descriptor in descriptors { close(descriptor) }
      throw error
    }
    self.descriptors = descriptors
    self.port = address.port
  }

  /// The requested address, for an error text.
  fileprivate struct Wanted {
    let name: String
    let setting: String
  }

  private struct Address {
    var storage = sockaddr_storage()
    var length: socklen_t

    var family: Int32 { Int32(storage.ss_family) }
    /// At the same offset for IPv4 and IPv6.
    var port: UInt16 {
      withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
    }
  }

  private static func resolve(_ host: String, port: UInt16, what: Wanted) throws(ListenerError) -> Address {
    var hints = addrinfo()
    hints.ai_flags = AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, String(port), &hints, &found)
    defer { freeaddrinfo(found) }
    guard status == 0, let first = found?.pointee else {
      throw ListenerError(
        description: "cannot listen on \(what.name): \(String(cString: gai_strerror(status)))")
    }
    var address = Address(length: first.ai_addrlen)
    withUnsafeMutableBytes(of: &address.storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: first.ai_addr, count: Int(first.ai_addrlen)))
    }
    return address
  }

  /// Binds a new socket, and sets `address` to its address.
  private static func bind(
    _ address: inout Address, isShared: Bool, what: Wanted
  ) throws(ListenerError) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(address.family, type, 0)
    guard descriptor >= 0 else { throw ListenerError(what: what, code: errno) }
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
    if isShared { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, size) }
    var length = address.length
    let status = withUnsafeMutablePointer(to: &address.storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { socketAddress in
        Glibc.bind(descriptor, socketAddress, length) == 0
          && getsockname(descriptor, socketAddress, &length) == 0
      }
    }
    guard status else {
      let code = errno
      close(descriptor)
      throw ListenerError(what: what, code: code)
    }
    return descriptor
  }
}

/// Why listening failed, and what to do.
public struct ListenerError: Error, CustomStringConvertible {
  public let description: String

  init(description: String) { self.description = description }

  fileprivate init(what: Listener.Wanted, code: Int32) {
    let advice =
      switch code {
      case EADDRINUSE: "; stop what listens there, or set \(what.setting) to another port"
      case EACCES: "; ports below 1024 need a right that this user lacks"
      case EADDRNOTAVAIL: "; this machine has no such address"
      default: ""
      }
    description = "cannot listen on \(what.name): \(String(cString: strerror(code)))\(advice)"
  }
}
