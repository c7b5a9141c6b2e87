internal import Glibc
internal import Registry

/// The file in which a process that stops leaves the nonces of signed requests for the next one.
struct NonceFile: Sendable {
  let path: String

  /// A full memory of nonces, and what describes it.
  private static let maximumBytes = ReplayMemory.maximumNonces * 8 + 4096

  /// Reads the file and removes it, so that it is used once. Nil if there is none. Blocks.
  func take() throws(FileError) -> ReplaySnapshot? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw FileError("cannot open \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    guard unlink(path) == 0 else {
      throw FileError("cannot remove \(path): \(String(cString: strerror(errno)))")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
      status.st_mode & 0o077 == 0
    else { throw FileError("\(path) is not a file of this user's alone") }
    guard status.st_size <= Self.maximumBytes, let bytes = read(descriptor, count: Int(status.st_size)),
      let snapshot = ReplaySnapshot(bytes: bytes)
    else { throw FileError("\(path) has no nonces in the form that this version writes") }
    return snapshot
  }

  private func read(_ descriptor: Int32, count: Int) -> [UInt8]? {
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, length in
      while length < count {
        let number = Glibc.read(descriptor, buffer.baseAddress! + length, count - length)
        if number < 0, errno == EINTR { continue }
        guard number > 0 else { break }
        length += number
      }
    }
    return bytes.count == count ? bytes : nil
  }

  /// Replaces the file as a whole: it is there completely or not at all, also after a loss of power. Blocks.
  func write(_ snapshot: ReplaySnapshot) throws(FileError) {
    let new = path + ".new"
    unlink(new)
    let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    let isWritten = descriptor >= 0 && Self.write(snapshot.bytes, to: descriptor) && fsync(descriptor) == 0
    let cause = errno
    if descriptor >= 0 { close(descriptor) }
    guard isWritten, rename(new, path) == 0 else {
      let cause = isWritten ? errno : cause
      unlink(new)
      throw FileError("cannot write \(path): \(String(cString: strerror(cause)))")
    }
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var written = 0
    while written < bytes.count {
      let number = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written)
      }
      if number < 0, errno == EINTR { continue }
      guard number > 0 else { return false }
      written += number
    }
    return true
  }

  struct FileError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
  }
}
