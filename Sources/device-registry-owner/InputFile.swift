import Commands
import Foundation
import Glibc

/// A file that an option names.
enum InputFile {
  /// The content. Throws if it cannot be read or is longer.
  ///
  /// - Parameter path: - for standard input.
  static func read(_ path: String, option: Commands.Option, maximumBytes: Int) throws(UsageError) -> Data {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(String(cString: strerror(errno))) }
    defer { if path != "-" { close(descriptor) } }
    var content = Data()
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(String(cString: strerror(errno))) }
      guard count > 0 else { return content }
      content += buffer[..<count]
      guard content.count <= maximumBytes else { throw unreadable("it has more than \(maximumBytes) bytes") }
    }

    func unreadable(_ cause: String) -> UsageError {
      UsageError("\(option.name) \(path) cannot be read: \(cause)")
    }
  }
}
