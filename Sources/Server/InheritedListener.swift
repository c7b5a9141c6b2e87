internal import HTTP

/// The sockets that systemd passed to the process: those of a socket unit, which replace `LISTEN`, or those that an earlier
/// process of the service stored.
struct InheritedListener: Sendable {
  /// The sockets to listen at.
  private(set) var sockets: [InheritedSocket] = []
  /// The names of stored sockets for another value of `LISTEN`.
  private(set) var outdated: Set<String> = []
  /// The name of the stored sockets of this value of `LISTEN`.
  private(set) var storedName = ""

  init() {}

  init(_ all: [InheritedSocket], for listen: ListenAddress) {
    // A name has no colon (sd_pid_notify_with_fds(3)).
    storedName = Self.prefix + listen.description.replacing(":", with: "_")
    let units = all.filter { !$0.name.hasPrefix(Self.prefix) }
    sockets = units.isEmpty ? all.filter { $0.name == storedName } : units
    for socket in all where socket.name.hasPrefix(Self.prefix) && (socket.name != storedName || !units.isEmpty)
    {
      outdated.insert(socket.name)
      socket.discard()
    }
  }

  private static let prefix = "listen."

  var addresses: [ListenAddress] { sockets.map { ListenAddress(host: $0.host, port: $0.port) } }

  /// Listens at the sockets or, if there are none, at the address; then systemd keeps the sockets over a restart.
  static func listen(_ configuration: Configuration) throws(ListenerError) -> Listener {
    let inherited = configuration.inherited
    for name in inherited.outdated { configuration.systemd?.forget(name) }
    guard inherited.sockets.isEmpty else {
      return try Listener(inherited.sockets, count: configuration.eventLoops)
    }
    let listener = try Listener(
      host: configuration.listen.host, port: configuration.listen.port, count: configuration.eventLoops,
      backlog: configuration.limits.listenBacklog)
    configuration.systemd?.store(listener, as: inherited.storedName)
    return listener
  }
}
