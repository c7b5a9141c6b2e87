internal import EventLoop
internal import Glibc
internal import HTTP

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

  /// Sends a state.
  func tell(_ state: State) { send(state.rawValue) }

  /// Stores the sockets of a listener with systemd, which passes them to the next process of the unit
  /// (`FileDescriptorStoreMax=`). So connections wait while the service restarts.
  func store(_ listener: Listener, as name: String) {
    let descriptors = Array(listener.descriptors.joined())
    for start in stride(from: 0, to: descriptors.count, by: UnixDatagram.maximumDescriptors) {
      let end = min(start + UnixDatagram.maximumDescriptors, descriptors.count)
      send("FDSTORE=1\nFDNAME=\(name)", Array(descriptors[start..<end]))
    }
  }

  /// Removes stored sockets, at which nothing listens any more.
  func forget(_ name: String) { send("FDSTOREREMOVE=1\nFDNAME=\(name)") }

  /// Ignores failures: without a listener there is nothing to do.
  private func send(_ message: String, _ descriptors: [Int32] = []) {
    UnixDatagram.send(message, descriptors, to: socketPath)
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
