internal import Glibc

/// The memory that the process holds in RAM.
public enum ResidentMemory {
  /// In bytes; nil where the system does not tell (proc(5), `/proc/[pid]/statm`, whose second number is pages).
  public static var bytes: Int? {
    let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let text = withUnsafeTemporaryAllocation(byteCount: maximumLength, alignment: 1) { buffer in
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    }
    let numbers = text.split(separator: " ")
    guard numbers.count > 1, let pages = Int(numbers[1]) else { return nil }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }

  /// Seven numbers of 64 bits, with room.
  private static let maximumLength = 256
}
