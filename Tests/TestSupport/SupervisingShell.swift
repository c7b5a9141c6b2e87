import Foundation
import Glibc

/// A shell that supervises a server of the tests: it reads our orders from a pipe, a line each, and answers with a line
/// each. The pipe ends when this process does, crashed or not: then the shell stops the server and cleans up.
struct SupervisingShell {
  private let process: Process
  private let orders: FileHandle
  private let answers: FileHandle

  /// Starts it. Stops the program when the system has no process left.
  init(_ command: [String]) {
    process = Process()
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
    process.currentDirectoryURL = URL(fileURLWithPath: "/")
    let (orders, answers) = (Self.pipe(), Self.pipe())
    process.standardInput = orders.reading
    process.standardOutput = answers.writing
    try! process.launchAlone()
    // Our copies of the child's ends, or neither pipe would ever end.
    try! orders.reading.close()
    try! answers.writing.close()
    self.orders = orders.writing
    self.answers = answers.reading
  }

  /// Sends one line and waits for the line that answers it.
  func order(_ line: String) -> String {
    orders.write(Data((line + "\n").utf8))
    return readLine()
  }

  /// Waits for a line.
  func readLine() -> String {
    var line: [UInt8] = []
    while let byte = answers.readData(ofLength: 1).first, byte != UInt8(ascii: "\n") { line.append(byte) }
    return String(decoding: line, as: UTF8.self)
  }

  /// Ends the orders, and waits until the shell has cleaned up.
  func end() {
    try? orders.close()
    process.waitUntilExit()
  }

  /// Unlike Foundation's pipe, closed in the children of other tests.
  private static func pipe() -> (reading: FileHandle, writing: FileHandle) {
    var descriptors: [Int32] = [0, 0]
    precondition(Glibc.pipe(&descriptors) == 0)
    for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    return (
      FileHandle(fileDescriptor: descriptors[0], closeOnDealloc: true),
      FileHandle(fileDescriptor: descriptors[1], closeOnDealloc: true)
    )
  }
}
