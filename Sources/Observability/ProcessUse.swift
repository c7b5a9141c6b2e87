internal import Glibc

/// The system resources that the process uses.
public enum ProcessUse {
  /// Resident memory of the process, in bytes; nil if the system does not report it (proc(5), `/proc/[pid]/statm`,
  /// whose second number is in pages).
  public static var residentBytes: Int? {
    let numbers = read("/proc/self/statm").split(separator: " ")
    guard numbers.count > 1, let pages = Int(numbers[1]) else { return nil }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }

  /// Processor time of the program, and of the system on its behalf (getrusage(2)).
  public static var processorSeconds: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// Open descriptors; nil if the system does not report them.
  ///
  /// A process that refuses debuggers and is not root's cannot read `/proc/self/fd`. `FDSize` of `/proc/self/status`
  /// (proc(5)) bounds the descriptors in use, and testing each takes about 50 ns.
  public static var openDescriptors: Int? {
    let line = read("/proc/self/status").split(separator: "\n").first { $0.hasPrefix("FDSize:") }
    guard let size = line?.split(whereSeparator: { $0 == "\t" || $0 == " " }).last.flatMap({ Int32($0) }) else {
      return nil
    }
    return (0..<size).count { fcntl($0, F_GETFD) >= 0 }
  }

  /// The start of a small file; empty if it cannot be read.
  private static func read(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    return withUnsafeTemporaryAllocation(byteCount: maximumLength, alignment: 1) { buffer in
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    }
  }

  /// `/proc/self/status` has about 1,500 bytes.
  private static let maximumLength = 4096
}
