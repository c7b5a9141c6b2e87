internal import Glibc

/// A listening socket that systemd passed to this process: one of a socket unit, or one that an earlier process stored
/// (sd_listen_fds(3)).
public struct InheritedSocket: Sendable {
  let descriptor: Int32
  /// What `FileDescriptorName=` or the process that stored it calls it.
  public let name: String
  /// The address as text, without brackets.
  public let host: String
  public let port: UInt16

  /// The first of the descriptors that systemd passes.
  private static let firstDescriptor: Int32 = 3
  private static let maximumDescriptors = 1024

  /// The sockets that the environment describes. No child process inherits them.
  ///
  /// Throws an error that names the descriptor that is not a listening TCP socket.
  public static func all(in environment: [String: String]) throws(ListenerError) -> [InheritedSocket] {
    guard environment["LISTEN_PID"].flatMap({ Int32($0) }) == getpid(),
      let count = environment["LISTEN_FDS"].flatMap({ Int($0) }), 1...maximumDescriptors ~= count
    else { return [] }
    let names = environment["LISTEN_FDNAMES"]?.split(separator: ":", omittingEmptySubsequences: false) ?? []
    var sockets: [InheritedSocket] = []
    for index in 0..<count {
      let descriptor = firstDescriptor + Int32(index)
      let name = names.indices.contains(index) ? String(names[index]) : ""
      guard let address = address(ofListening: descriptor) else {
        throw ListenerError(
          "systemd passed descriptor \(descriptor) (\(name)), which is not a listening TCP socket: use ListenStream= "
            + "with an address and a port")
      }
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
      sockets.append(
        InheritedSocket(descriptor: descriptor, name: name, host: address.text, port: address.port))
    }
    return sockets
  }

  private static func address(ofListening descriptor: Int32) -> Listener.Address? {
    var isListening: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    var address = Listener.Address(host: "", length: socklen_t(MemoryLayout<sockaddr_storage>.size))
    let status = withUnsafeMutablePointer(to: &address.storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0
          && getsockname(descriptor, $0, &address.length) == 0
      }
    }
    guard status, isListening != 0, [AF_INET, AF_INET6].contains(address.family) else { return nil }
    return address
  }

  /// Closes the socket, which this process does not use.
  public func discard() { close(descriptor) }
}
