internal import CLibuv
internal import Glibc

/// What a process of event loops asks of the system, once, before its first loop.
public enum ProcessSettings {
  /// No core dump and no debugger of the same user (secrets are in memory); as many descriptors as the system
  /// lets us have; a connection that is closed under a write, and a file that may not grow, are errors and not
  /// signals, which would end the process; new files are their owner's alone; and the signals that end the service are
  /// heard, whatever the parent had blocked.
  public static func apply() {
    refuse_core_dumps()
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)

    var descriptors = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    if getrlimit(resource, &descriptors) == 0 {
      descriptors.rlim_cur = descriptors.rlim_max
      setrlimit(resource, &descriptors)
    }

    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    umask(0o077)
    var signals = sigset_t()
    sigemptyset(&signals)
    sigprocmask(SIG_SETMASK, &signals, nil)
  }

  /// Descriptors that this process may have open.
  public static var descriptorLimit: Int {
    var descriptors = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &descriptors) == 0 else { return 1024 }
    return Int(clamping: descriptors.rlim_cur)
  }

  /// Processors that the system lets this process run on; it knows nothing of a container's quota of time.
  public static var processorCount: Int { Int(uv_available_parallelism()) }
}
