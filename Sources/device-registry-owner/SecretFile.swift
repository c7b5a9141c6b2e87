import Commands
import Foundation
import Glibc

/// A new file for a secret. It is created before the secret is: the registry shows a secret only once.
struct NewSecretFile: ~Copyable {
  let path: String
  private let descriptor: Int32

  /// With mode 0600. Throws `UsageError` if the file exists or cannot be created.
  init(_ path: String, option: Commands.Option) throws(UsageError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      let cause = errno == EEXIST ? "it exists; name a new file" : String(cString: strerror(errno))
      throw UsageError("\(option.name) \(path) cannot be created: \(cause)")
    }
  }

  deinit { close(descriptor) }

  /// Writes the secret and a line break.
  ///
  /// - Parameter remedy: what to do if it cannot be written, and so is lost.
  func write(_ secret: String, ifLost remedy: String) throws(Failure) {
    guard Terminal.write(Array((secret + "\n").utf8), to: descriptor), fsync(descriptor) == 0 else {
      throw Failure("cannot write \(path): \(String(cString: strerror(errno))); \(remedy)")
    }
  }

  /// For a secret that was not created.
  func remove() { unlink(path) }
}
