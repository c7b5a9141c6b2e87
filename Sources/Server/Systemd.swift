internal import EventLoop
internal import Glibc

/// Notifies systemd of the service's state, with datagrams to the socket in `NOTIFY_SOCKET` (sd_notify(3)).
struct Systemd: Sendable {
  enum State: String {
    case ready = "READY=1"
    case alive = "WATCHDOG=1"
    case stopping = "STOPPING=1"
  }

  private let socketPath: String
  /// How often it expects a notice that the service is alive; nil where it expects none.
  fileprivate let aliveIntervalMilliseconds: Int?

  /// Nil without a valid `NOTIFY_SOCKET`.
  init?(environment: [String: String]) {
    guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@") else {
      return nil
    }
    socketPath = path
    let isMeant = environment["WATCHDOG_PID"].map { Int32($0) == getpid() } ?? true
    let timeoutMicroseconds = environment["WATCHDOG_USEC"].flatMap { Int($0) }
    // Half of the watchdog's timeout, as sd_watchdog_enabled(3) advises.
    aliveIntervalMilliseconds = isMeant ? timeoutMicroseconds.map { max($0 / 2000, 1) } : nil
  }

  /// Sends a state. Ignores failures: without a listener there is nothing to do.
  func tell(_ state: State) {
    guard let (address, length) = address() else { return }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    withUnsafeBytes(of: address) { address in
      let address = address.assumingMemoryBound(to: sockaddr.self).baseAddress
      _ = sendto(
        descriptor, state.rawValue, state.rawValue.utf8.count, Int32(MSG_NOSIGNAL), address, length)
    }
  }

  /// Nil if the path is too long for a socket address.
  private func address() -> (sockaddr_un, socklen_t)? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // An abstract socket name begins with a NUL, which systemd writes as @, and has no final NUL (unix(7)).
    let path = socketPath.utf8.enumerated().map { $0 == 0 && $1 == UInt8(ascii: "@") ? 0 : $1 }
    guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    return (address, socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + path.count))
  }
}

/// Notifies systemd that the service is ready, alive and stopping.
struct SystemdNotices: Service {
  private let systemd: Systemd
  private let loops: [EventLoop]

  /// - Parameter loops: all of them must answer before each watchdog notification. If one hangs, systemd restarts the
  ///   service.
  init(to systemd: Systemd, loops: [EventLoop]) {
    self.systemd = systemd
    self.loops = loops
  }

  func run() async {
    systemd.tell(.ready)
    if let interval = systemd.aliveIntervalMilliseconds {
      while !Task.isCancelled {
        for loop in loops { await loop.run {} }
        systemd.tell(.alive)
        try? await Task.sleep(for: .milliseconds(interval))
      }
    } else {
      await untilCancelled()
    }
    systemd.tell(.stopping)
  }
}
