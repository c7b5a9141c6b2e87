import Synchronization

/// A shell that supervises a server of the tests: it reads our orders from a pipe, a line each, and answers with a line
/// each. The pipe ends when this process does, crashed or not: then the shell stops the server and cleans up.
public final class SupervisingShell: Sendable {
  private let process: ChildProcess
  /// One order at a time: its answer is the next line.
  private let turn = Mutex(())

  /// Starts it. Stops the program when the system has no process left.
  public init(_ command: [String]) {
    process = try! ChildProcess(command, environment: ["PATH=/usr/local/bin:/usr/bin:/bin"])
  }

  /// Sends one line and waits for the line that answers it.
  public func order(_ line: String) async -> String {
    await onOwnThread { [self] in
      turn.withLock { _ in
        process.input.write(line + "\n")
        return process.output.readLine()
      }
    }
  }

  /// Waits for a line.
  public func readLine() async -> String {
    await onOwnThread { [self] in turn.withLock { _ in process.output.readLine() } }
  }

  /// Ends the orders, and waits until the shell has cleaned up.
  public func end() async {
    process.input.close()
    _ = await onOwnThread { [process] in process.wait() }
  }
}
