public import Glibc
import Synchronization

/// A process that a test started, with pipes to its standard streams. What waits for it blocks its thread.
///
/// Not Foundation's: there pipes leak into processes that other tests start at the same time, and so do not end;
/// starting reads a table of descriptors that may change; waiting for the end keeps a processor busy; and signals
/// that are blocked here are blocked there.
public final class ChildProcess: Sendable {
  public let identifier: pid_t
  let input: PipeEnd
  let output: PipeEnd
  let errors: PipeEnd
  private let exitStatus = Mutex<Int32?>(nil)

  /// - Parameters:
  ///   - command: the path of the program, and its arguments.
  ///   - environment: `NAME=value`; nothing else is inherited except the settings of a sanitizer.
  public convenience init(_ command: [String], environment: [String]) throws {
    try self.init(starting: launches.withLock { _ in try Self.launch(command, environment) })
  }

  private init(starting launched: Launched) {
    identifier = launched.identifier
    (input, output, errors) = (launched.input, launched.output, launched.errors)
  }

  private struct Launched {
    let identifier: pid_t
    let input: PipeEnd
    let output: PipeEnd
    let errors: PipeEnd
  }

  private static func launch(_ command: [String], _ environment: [String]) throws -> Launched {
    let (input, output, errors) = (Pipe(), Pipe(), Pipe())
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let streams = [input.reading, output.writing, errors.writing]
    for (number, end) in streams.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, end.descriptor, Int32(number))
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var noSignals = sigset_t()
    sigemptyset(&noSignals)
    posix_spawnattr_setsigmask(&attributes, &noSignals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    let arguments = command.map { strdup($0) } + [nil]
    let variables = (environment + sanitizerOptions).map { strdup($0) } + [nil]
    defer { for text in arguments + variables { free(text) } }
    var identifier = pid_t()
    let status = posix_spawn(&identifier, command[0], &actions, &attributes, arguments, variables)
    // Our copies of the child's ends, or no pipe would ever end.
    for end in streams { end.close() }
    guard status == 0 else { throw NotStarted(program: command[0], errorNumber: status) }
    return Launched(
      identifier: identifier, input: input.writing, output: output.reading, errors: errors.reading)
  }

  /// Under a sanitizer, the programs that are built beside the tests are under it too.
  private static let sanitizerOptions = ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"].compactMap {
    (name: String) in getenv(name).map { "\(name)=\(String(cString: $0))" }
  }

  struct NotStarted: Error {
    let program: String
    let errorNumber: Int32
  }

  public func send(_ signal: Int32) {
    exitStatus.withLock { status in
      // Its number may be another process's by now.
      if status == nil { kill(identifier, signal) }
    }
  }

  /// Waits until it has ended. Answers its exit status, or the negative of the signal that ended it.
  public func wait() -> Int32 {
    // Without the lock meanwhile: another thread may wait for our signal.
    var information = siginfo_t()
    while waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
    return exitStatus.withLock { known in
      if let known { return known }
      var status: Int32 = 0
      while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
      let signal = status & 0x7F
      let result = signal == 0 ? (status >> 8) & 0xFF : -signal
      known = result
      return result
    }
  }
}

/// One launch at a time: a pipe is closed in the children of other tests only once it says so.
private let launches = Mutex(())

private struct Pipe {
  let reading: PipeEnd
  let writing: PipeEnd

  init() {
    var descriptors: [Int32] = [0, 0]
    precondition(pipe(&descriptors) == 0, "no pipe: errno \(errno)")
    for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    (reading, writing) = (PipeEnd(descriptors[0]), PipeEnd(descriptors[1]))
  }
}

/// One end of a pipe, closed with the last reference at the latest.
final class PipeEnd: Sendable {
  private let open: Mutex<Int32?>

  fileprivate init(_ descriptor: Int32) { open = Mutex(descriptor) }

  deinit { close() }

  /// While it is open.
  var descriptor: Int32 { open.withLock { $0 ?? -1 } }

  func close() {
    open.withLock { descriptor in
      if let descriptor { _ = Glibc.close(descriptor) }
      descriptor = nil
    }
  }

  /// What has arrived; waits for the first byte. Nothing at the end.
  func read(upTo limit: Int = 64 * 1024) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: limit)
    var count = Glibc.read(descriptor, &buffer, limit)
    while count < 0, errno == EINTR { count = Glibc.read(descriptor, &buffer, limit) }
    return count > 0 ? Array(buffer[..<count]) : []
  }

  /// All that comes until the end.
  func readToEnd() -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let piece = read()
      if piece.isEmpty { return bytes }
      bytes += piece
    }
  }

  /// A line without its break; less at the end.
  func readLine() -> String {
    var line: [UInt8] = []
    while let byte = read(upTo: 1).first, byte != UInt8(ascii: "\n") { line.append(byte) }
    return String(decoding: line, as: UTF8.self)
  }

  func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
