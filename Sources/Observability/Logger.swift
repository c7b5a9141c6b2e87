internal import Glibc
internal import Synchronization

/// Writes events as lines to standard error, from any thread, without blocking it: a separate thread writes from a
/// bounded queue. Lines that do not fit are counted, and the count is logged.
///
/// `@unchecked Sendable`: `state` is accessed only under its mutex; the rest does not change.
public final class Logger: @unchecked Sendable {
  /// The importance of an event. A logger omits events below its own level.
  public enum Level: String, Comparable, CaseIterable, Sendable {
    case debug, info, notice, warning, error

    public static func < (left: Level, right: Level) -> Bool { left.weight < right.weight }

    private var weight: Int {
      switch self {
      case .debug: 0
      case .info: 1
      case .notice: 2
      case .warning: 3
      case .error: 4
      }
    }
  }

  /// How a line looks.
  public enum Format: String, CaseIterable, Sendable {
    /// One JSON object per line.
    case json
    /// For people.
    case text
  }

  private struct State {
    var lines: [UInt8] = []
    /// Since the last line that reported some.
    var droppedLines = 0
    var droppedLinesInAll = 0
    var isClosed = false
  }

  public let level: Level
  private let format: Format
  private let descriptor: Int32
  private let state = Mutex(State())
  private let wakeUp: UnsafeMutablePointer<sem_t>
  private let writerEnded: UnsafeMutablePointer<sem_t>

  /// How long the writer's first line waits for others. Waking the writer costs the logging thread more than the
  /// line itself.
  static let gatherMilliseconds = 5
  /// How long `close` waits until the last lines are written.
  static let closeTimeoutSeconds = 1
  /// Bytes of lines that wait for the writer.
  public static let maximumQueuedBytes = 1024 * 1024

  /// - Parameter descriptor: the destination of the lines; by default standard error.
  public init(level: Level, format: Format, descriptor: Int32 = 2) {
    self.level = level
    self.format = format
    self.descriptor = descriptor
    wakeUp = .allocate(capacity: 1)
    writerEnded = .allocate(capacity: 1)
    sem_init(wakeUp, 0, 0)
    sem_init(writerEnded, 0, 0)
    startWriter()
  }

  deinit {
    sem_destroy(wakeUp)
    sem_destroy(writerEnded)
    wakeUp.deallocate()
    writerEnded.deallocate()
  }

  /// Logs an event: a short constant name, and its members. Never pass a secret, a signature, an `Authorization` field
  /// or a connection string.
  public func log(_ level: Level, _ event: StaticString, _ fields: KeyValuePairs<StaticString, String> = [:]) {
    log(level, event) { line in
      for (name, value) in fields { line.add(name, value) }
    }
  }

  /// Logs an event whose members are computed only if its level is logged.
  public func log(_ level: Level, _ event: StaticString, _ write: (inout LogLine) -> Void) {
    guard level >= self.level else { return }
    var line = LogLine(level, event, at: realTime(), format: format)
    write(&line)
    let bytes = line.finished()
    let isDue = state.withLock { state in
      guard !state.isClosed, state.lines.count + bytes.count <= Self.maximumQueuedBytes else {
        state.droppedLines += 1
        state.droppedLinesInAll += 1
        return false
      }
      let wasEmpty = state.lines.isEmpty
      state.lines += bytes
      return wasEmpty
    }
    if isDue { sem_post(wakeUp) }
  }

  /// Bytes of lines that wait for the writer now.
  public var queuedBytes: Int { state.withLock { $0.lines.count } }

  /// Lines that did not fit, since the start.
  public var droppedLines: Int { state.withLock { $0.droppedLinesInAll } }

  /// Writes the waiting lines, and ends the writer. Later events are lost.
  public func close() {
    let wasOpen = state.withLock { state in
      defer { state.isClosed = true }
      return !state.isClosed
    }
    guard wasOpen else { return }
    sem_post(wakeUp)
    // The reader of the log may have stopped: the service must end all the same.
    var deadline = realTime()
    deadline.tv_sec += Self.closeTimeoutSeconds
    while sem_timedwait(writerEnded, &deadline) != 0, errno == EINTR {}
  }

  // MARK: The writer's thread

  private func startWriter() {
    var thread = pthread_t()
    let me = Unmanaged.passRetained(self)
    let status = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Logger>.fromOpaque(argument!).takeRetainedValue().write()
        return nil
      }, me.toOpaque())
    guard status == 0 else {
      me.release()
      state.withLock { $0.isClosed = true }
      return
    }
    pthread_detach(thread)
  }

  private func write() {
    var isClosed = false
    while !isClosed {
      while sem_wait(wakeUp) != 0 {}
      gather()
      var lines: [UInt8] = []
      var droppedLines = 0
      state.withLock { state in
        swap(&lines, &state.lines)
        swap(&droppedLines, &state.droppedLines)
        isClosed = state.isClosed
      }
      if droppedLines > 0 {
        var line = LogLine(.warning, "log lines dropped", at: realTime(), format: format)
        line.add("count", droppedLines)
        lines += line.finished()
      }
      writeAll(lines)
    }
    sem_post(writerEnded)
  }

  /// Waits a little, unless the log is closed.
  private func gather() {
    guard !state.withLock({ $0.isClosed }) else { return }
    var time = timespec(tv_sec: 0, tv_nsec: Self.gatherMilliseconds * 1_000_000)
    nanosleep(&time, nil)
  }

  private func writeAll(_ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let written = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress! + offset, $0.count - offset)
      }
      if written < 0, errno == EAGAIN {
        // A parent made the descriptor non-blocking.
        var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&room, 1, -1)
      } else if written < 0, errno != EINTR {
        return
      }
      offset += max(0, written)
    }
  }

  private func realTime() -> timespec {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return time
  }
}
