internal import CSocket

/// Datagrams to a local socket (unix(7)).
public enum UnixDatagram {
  /// Descriptors that a datagram can have.
  public static let maximumDescriptors = Int(MAXIMUM_SENT_DESCRIPTORS)

  /// Sends a text and copies of descriptors. False if nobody received it.
  ///
  /// - Parameter path: begins with @ for an abstract name.
  @discardableResult
  public static func send(_ text: String, _ descriptors: [Int32] = [], to path: String) -> Bool {
    send_datagram(path, text, text.utf8.count, descriptors, descriptors.count) != 0
  }
}

/// A listening socket.
public enum ListeningSocket {
  /// From now on the system drops what arrives at the socket, as if nothing listened. Connections that it has completed can
  /// still be accepted.
  public static func dropNewConnections(at descriptor: Int32) { drop_everything(descriptor) }
}
