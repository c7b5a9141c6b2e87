internal import Glibc

/// What the process takes of the system.
public enum ProcessUse {
  /// Memory that the process holds in RAM, in bytes; nil where the system does not tell (proc(5), `/proc/[pid]/statm`,
  /// whose second number is pages).
  public static var residentBytes: Int? {
    let numbers = read("/proc/self/statm").split(separator: " ")
    guard numbers.count > 1, let pages = Int(numbers[1]) else { return nil }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }

  /// Time of processors, in the program and in the system for it (getrusage(2)).
  public static var processorSeconds: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// Open descriptors; nil where the system does not tell.
  ///
  /// `/proc/self/fd` is closed to a process that refuses debuggers and is not root's. `FDSize` of `/proc/self/status`
  /// (proc(5)) bounds the numbers that are in use, and asking for each takes some 50 ns.
  public static var openDescriptors: Int? {
    let line = read("/proc/self/status").split(separator: "\n").first { $0.hasPrefix("FDSize:") }
    guard let size = line?.split(whereSeparator: { $0 == "\t" || $0 == " " }).last.flatMap({ Int32($0) }) else {
      return nil
    }
    return (0..<size).count { fcntl($0, F_GETFD) >= 0 }
  }

  /// The start of a small file; empty where it cannot be read.
  private static func read(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    return withUnsafeTemporaryAllocation(byteCount: maximumLength, alignment: 1) { buffer in
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    }
  }

  /// `/proc/self/status` has some 1,500 bytes.
  private static let maximumLength = 4096
}
