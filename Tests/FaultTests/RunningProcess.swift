import Foundation
import Glibc
import Synchronization
import TestSupport

/// A process that may be ended by any signal. What it writes goes to a file.
final class RunningProcess: Sendable {
  private let child: ChildProcess
  private let status = StatusBox()

  /// - Parameter environment: nothing else is inherited.
  init(_ command: [String], environment: [String: String], outputPath: String) throws {
    // The shell makes room for the command, which keeps its number.
    child = try ChildProcess(
      ["/bin/sh", "-c", #"exec "$@" >"$0" 2>&1 </dev/null"#, outputPath] + command,
      environment: environment.map { "\($0.key)=\($0.value)" })
    Thread.detachNewThread { [child, status] in status.set(child.wait()) }
  }

  deinit { child.send(SIGKILL) }

  var id: pid_t { child.identifier }

  var isRunning: Bool { status.value == nil }

  func send(_ signal: Int32) { child.send(signal) }

  /// Waits for its end: the exit status, or the negative of the signal that ended it.
  @discardableResult
  func wait(upToSeconds seconds: Double = 60) throws -> Int32 {
    try FaultTests.wait(for: "process \(id) to end", upToSeconds: seconds) { !isRunning }
    return status.value!
  }

  /// How it ended; nil before.
  private final class StatusBox: Sendable {
    private let known = Mutex<Int32?>(nil)
    var value: Int32? { known.withLock { $0 } }
    func set(_ status: Int32) { known.withLock { $0 = status } }
  }
}

extension RunningProcess {
  /// Kilobytes that it has in memory.
  var residentKiB: Int {
    let text = (try? String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
  }

  /// Seconds of a processor that it has used.
  var processorSeconds: Double {
    let text = (try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8)) ?? ""
    // After the name, which is in parentheses: user and system time are the fields 14 and 15 (proc_pid_stat(5)).
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// Changes a limit of the running process, and not the one that it may raise it to.
  /// - Parameter name: as prlimit(1) has it.
  func limit(_ name: String, to value: String) throws {
    guard try run(["/usr/bin/prlimit", "--pid=\(id)", "--\(name)=\(value):"]) == 0 else {
      throw Unmet("the limit \(name) was not set")
    }
  }
}

/// Runs a command to its end; its exit status.
func run(_ command: [String]) throws -> Int32 {
  try ChildProcess(command, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]).wait()
}
