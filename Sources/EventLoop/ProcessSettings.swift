internal import CLibuv
internal import Glibc

/// The settings of a process with event loops, applied once before its first loop.
public enum ProcessSettings {
  /// No core dumps, and no debuggers of the same user (secrets are in memory); the maximum number of
  /// descriptors; writes to a closed connection or beyond a file's size limit return errors instead of ending
  /// the process by a signal; only the owner can access new files; and the signals that stop the service are
  /// unblocked, even if the parent blocked them.
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

  /// The maximum number of open descriptors of this process.
  public static var descriptorLimit: Int {
    var descriptors = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &descriptors) == 0 else { return 1024 }
    return Int(clamping: descriptors.rlim_cur)
  }

  /// The processors that this process may run on. A container's CPU quota is not considered.
  public static var processorCount: Int { Int(uv_available_parallelism()) }
}
