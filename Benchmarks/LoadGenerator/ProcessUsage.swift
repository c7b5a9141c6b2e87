private import Foundation

/// Time and memory of processes, from the kernel (proc(5)).
struct ProcessUsage {
  var seconds = 0.0
  var peakBytes = 0
  var residentBytes = 0

  /// The sum over all of them.
  static func total(of processes: [Int32]) -> ProcessUsage {
    var total = ProcessUsage()
    for process in processes {
      total.seconds += seconds(of: process)
      total.peakBytes += memory("VmHWM:", of: process)
      total.residentBytes += memory("VmRSS:", of: process)
    }
    return total
  }

  /// Restarts the measurement of peaks.
  static func forgetPeaks(of processes: [Int32]) {
    for process in processes {
      try? "5".write(toFile: "/proc/\(process)/clear_refs", atomically: false, encoding: .utf8)
    }
  }

  /// Processor seconds of this process.
  static var own: Double { Double(clock()) / Double(CLOCKS_PER_SEC) }

  /// The sum over its threads, in nanoseconds, if the kernel keeps it; that of `stat` has steps of 10 ms.
  private static func seconds(of process: Int32) -> Double {
    let folder = "/proc/\(process)/task"
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return threads.reduce(0) { sum, thread in
      let fields = text("\(folder)/\(thread)/schedstat").split(separator: " ")
      return sum + (fields.first.flatMap { Double($0) } ?? 0) / 1e9
    }
  }

  private static func memory(_ name: String, of process: Int32) -> Int {
    for line in text("/proc/\(process)/status").split(separator: "\n") where line.hasPrefix(name) {
      let kibibytes = line.dropFirst(name.count).split { $0 == " " || $0 == "\t" }.first
      return (kibibytes.flatMap { Int($0) } ?? 0) * 1024
    }
    return 0
  }

  private static func text(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }
}
