internal import Glibc

/// The listening addresses of a host: at each, one socket per event loop, among which the system distributes the
/// connections (SO_REUSEPORT).
public struct Listener: Sendable {
  /// The sockets of each event loop, one per address. The server that takes them also closes them.
  public let descriptors: [[Int32]]
  /// The addresses as text, without brackets, in the order of the resolution. At least one.
  public let addresses: [String]
  /// The port of all addresses, also if the system chose it. Of several inherited ones, the first.
  public let port: UInt16

  /// How often port 0 chooses another port, because the one that is free at the first address is in use at another.
  private static let maximumPortChoices = 16

  /// Listens at each address of the host. Skips addresses that this machine does not have, unless it has none of them.
  /// - Parameters:
  ///   - host: a name or an address, without brackets.
  /// - port: 0 chooses a free one.
  /// - setting: the setting to change if the port is in use.
  public init(
    host: String, port: UInt16, count: Int, backlog: Int, setting: String = "LISTEN"
  ) throws(ListenerError) {
    try self.init(hosts: [host], port: port, count: count, backlog: backlog, setting: setting)
  }

  /// The same, at each address of several hosts.
  init(
    hosts: [String], port: UInt16, count: Int, backlog: Int, setting: String = "LISTEN"
  ) throws(ListenerError) {
    var candidates: [Address] = []
    for host in hosts {
      for address in try Self.resolve(host, port: port) where !candidates.contains(address) {
        candidates.append(address)
      }
    }
    let wanted = Wanted(candidates: candidates, count: count, backlog: backlog, setting: setting)
    for _ in 1..<Self.maximumPortChoices where port == 0 {
      do throws(ListenerError) {
        try self.init(wanted)
        return
      } catch {
        guard error.code == EADDRINUSE else { throw error }
      }
    }
    try self.init(wanted)
  }

  /// Tests whether a process may listen at the addresses of a host, without listening.
  ///
  /// Throws the error with which listening would fail.
  public static func test(host: String, port: UInt16, setting: String) throws(ListenerError) {
    let wanted = Wanted(
      candidates: try resolve(host, port: port), count: 0, backlog: 0, setting: setting)
    _ = try Listener(wanted)
  }

  private init(_ wanted: Wanted) throws(ListenerError) {
    var groups: [[Int32]] = []
    var addresses: [String] = []
    var chosenPort: UInt16 = 0
    var missing: ListenerError?
    for var address in wanted.candidates {
      if address.port == 0 { address.port = chosenPort }
      do throws(ListenerError) {
        groups.append(try Self.sockets(at: &address, wanted))
        addresses.append(address.text)
        chosenPort = address.port
      } catch {
        // Without IPv6 in the kernel there is not even a socket.
        guard [EADDRNOTAVAIL, EAFNOSUPPORT].contains(error.code) else {
          for descriptor in groups.joined() { close(descriptor) }
          throw error
        }
        missing = missing ?? error
      }
    }
    if groups.isEmpty, let missing { throw missing }
    descriptors = (0..<wanted.count).map { loop in groups.map { $0[loop] } }
    self.addresses = addresses
    port = chosenPort
  }

  /// Listens at sockets that systemd passed, at least one.
  ///
  /// - Parameter count: the event loops. Each has a separate socket if there are enough; otherwise some share one.
  public init(_ sockets: [InheritedSocket], count: Int) throws(ListenerError) {
    var descriptors: [[Int32]] = Array(repeating: [], count: count)
    let places = Dictionary(grouping: sockets) { ListenerPlace(host: $0.host, port: $0.port) }
    for sockets in places.values {
      for (index, socket) in sockets.enumerated() { descriptors[index % count].append(socket.descriptor) }
      for loop in 0..<count where loop >= sockets.count {
        let copy = fcntl(sockets[loop % sockets.count].descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else {
          throw ListenerError("cannot share a socket: \(String(cString: strerror(errno)))")
        }
        descriptors[loop].append(copy)
      }
    }
    self.descriptors = descriptors
    addresses = sockets.reduce(into: []) { if !$0.contains($1.host) { $0.append($1.host) } }
    port = sockets[0].port
  }

  private struct ListenerPlace: Hashable {
    let host: String
    let port: UInt16
  }

  fileprivate struct Wanted {
    let candidates: [Address]
    let count: Int
    let backlog: Int
    let setting: String
  }

  struct Address: Equatable {
    /// The host that it was resolved from.
    let host: String
    var storage = sockaddr_storage()
    var length: socklen_t

    var family: Int32 { Int32(storage.ss_family) }
    /// At the same offset for IPv4 and IPv6.
    var port: UInt16 {
      get { withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) } }
      set {
        withUnsafeMutableBytes(of: &storage) {
          $0.storeBytes(of: newValue.bigEndian, toByteOffset: 2, as: UInt16.self)
        }
      }
    }

    /// The address without the port, in digits, with the zone of a link-local one.
    var text: String {
      let capacity = Int(NI_MAXHOST)
      return withSocketAddress { socketAddress in
        String(unsafeUninitializedCapacity: capacity) { text in
          text.withMemoryRebound(to: CChar.self) { text in
            getnameinfo(
              socketAddress, length, text.baseAddress!, socklen_t(capacity), nil, 0, NI_NUMERICHOST) == 0
              ? strlen(text.baseAddress!) : 0
          }
        }
      }
    }

    func withSocketAddress<Value>(_ body: (UnsafePointer<sockaddr>) -> Value) -> Value {
      withUnsafePointer(to: storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
    }

    static func == (one: Address, other: Address) -> Bool {
      withUnsafeBytes(of: one.storage) { one in
        withUnsafeBytes(of: other.storage) { other in one.elementsEqual(other) }
      }
    }
  }

  private static func resolve(_ host: String, port: UInt16) throws(ListenerError) -> [Address] {
    var hints = addrinfo()
    hints.ai_flags = AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, String(port), &hints, &found)
    defer { freeaddrinfo(found) }
    guard status == 0 else { throw ListenerError(resolving: host, port: port, status: status) }
    return sequence(first: found, next: { $0?.pointee.ai_next }).compactMap { $0?.pointee }.map { result in
      var address = Address(host: host, length: result.ai_addrlen)
      withUnsafeMutableBytes(of: &address.storage) {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: result.ai_addr, count: Int(result.ai_addrlen)))
      }
      return address
    }
  }

  /// The listening sockets of the event loops at one address. Sets its port.
  private static func sockets(at address: inout Address, _ wanted: Wanted) throws(ListenerError) -> [Int32] {
    if address.port != 0 {
      // SO_REUSEPORT would let a second process share the port unnoticed: a socket without it fails if another process
      // listens.
      close(try bind(&address, isShared: false, wanted))
    }
    var descriptors: [Int32] = []
    do throws(ListenerError) {
      for _ in 0..<wanted.count {
        let descriptor = try bind(&address, isShared: true, wanted)
        descriptors.append(descriptor)
        guard listen(descriptor, Int32(wanted.backlog)) == 0 else {
          throw ListenerError(address, wanted, code: errno)
        }
      }
    } catch {
      for descriptor in descriptors { close(descriptor) }
      throw error
    }
    return descriptors
  }

  /// Binds a new socket, and sets the port of `address` to its port.
  private static func bind(
    _ address: inout Address, isShared: Bool, _ wanted: Wanted
  ) throws(ListenerError) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(address.family, type, 0)
    guard descriptor >= 0 else { throw ListenerError(address, wanted, code: errno) }
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
      throw ListenerError(address, wanted, code: code)
    }
    return descriptor
  }
}

/// Why listening failed, and what to do.
public struct ListenerError: Error, CustomStringConvertible {
  public let description: String
  /// The error number of the system call that failed; nil if the host has no address.
  fileprivate let code: Int32?
  /// Whether another process listens there.
  public var isInUse: Bool { code == EADDRINUSE }

  init(_ description: String) {
    self.description = description
    code = nil
  }

  fileprivate init(resolving host: String, port: UInt16, status: Int32) {
    description = "cannot listen on \(Self.name(host, port)): \(String(cString: gai_strerror(status)))"
    code = nil
  }

  fileprivate init(_ address: Listener.Address, _ wanted: Listener.Wanted, code: Int32) {
    let advice =
      switch code {
      case EADDRINUSE: "; stop what listens there, or set \(wanted.setting) to another port"
      case EACCES: "; ports below 1024 need a right that this user lacks"
      case EADDRNOTAVAIL: "; this machine has no such address"
      default: ""
      }
    let which = address.text == address.host ? "" : " (\(address.text))"
    description =
      "cannot listen on \(Self.name(address.host, address.port))\(which): \(String(cString: strerror(code)))\(advice)"
    self.code = code
  }

  private static func name(_ host: String, _ port: UInt16) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}
