internal import CSocket
internal import Glibc

/// Datagrams to a local socket (unix(7)).
public enum UnixDatagram {
  /// Descriptors that a datagram can have.
  public static let maximumDescriptors = Int(MAXIMUM_SENT_DESCRIPTORS)

  /// Sends a text and copies of descriptors. False if nobody received it.
  ///
  /// - Parameter path: begins with @ for an abstract name.
  @discardableResult
  public static func send(_ text: String, _ descriptors: [Int32] = [], to path: String) -> Bool {
    guard let (address, length) = address(path) else { return false }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return withUnsafeBytes(of: address) { address in
      let address = address.assumingMemoryBound(to: sockaddr.self).baseAddress
      return send_descriptors(
        descriptor, address, length, text, text.utf8.count, descriptors, descriptors.count) >= 0
    }
  }

  /// Nil if the path is too long for a socket address.
  private static func address(_ path: String) -> (sockaddr_un, socklen_t)? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // An abstract name begins with a NUL, which systemd writes as @, and has no final NUL.
    let path = path.utf8.enumerated().map { $0 == 0 && $1 == UInt8(ascii: "@") ? 0 : $1 }
    guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    return (address, socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + path.count))
  }
}

/// A listening socket.
public enum ListeningSocket {
  /// From now on the system drops what arrives at the socket, as if nothing listened. Connections that it has completed can
  /// still be accepted.
  public static func dropNewConnections(at descriptor: Int32) {
    var program = drop_everything()
    setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, socklen_t(MemoryLayout<sock_fprog>.size))
  }
}
