internal import Glibc

/// A file with a secret, which only its owner can read.
enum SecretFile {
  /// Fills the buffer from the file, until either ends. Throws `secretFile` if the file cannot be read, or if others than
  /// its owner can read it.
  ///
  /// - Parameter remedy: what to do if others did read it.
  static func read(
    _ path: String, into buffer: UnsafeMutableBufferPointer<UInt8>, ifExposed remedy: String
  ) throws(RegistryClientError) -> (count: Int, isPipe: Bool) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .secretFile(path: path, message: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .secretFile(path: path, message: String(cString: strerror(errno)))
    }
    // A pipe, `<(command)` in a shell, is readable only by this process.
    let isFile = status.st_mode & S_IFMT == S_IFREG
    guard !isFile || status.st_mode & 0o077 == 0 else {
      throw .secretFile(
        path: path, message: "other users can read it: run chmod 600, and \(remedy) if they did")
    }
    var count = 0
    while count < buffer.count {
      let piece = Glibc.read(descriptor, buffer.baseAddress! + count, buffer.count - count)
      guard piece >= 0 else { throw .secretFile(path: path, message: String(cString: strerror(errno))) }
      guard piece > 0 else { break }
      count += piece
    }
    return (count, !isFile)
  }
}

/// An owner's token in a file.
struct TokenFile: Sendable {
  private let path: String
  /// The content of a pipe, which can be read only once.
  private let content: String?

  /// Bytes of the file.
  private static let maximumLength = 16 * 1024

  /// Throws `secretFile`.
  init(path: String) throws(RegistryClientError) {
    let (text, isPipe) = try Self.read(path)
    self.path = path
    content = isPipe ? text : nil
  }

  /// The token that the file has now. Throws `secretFile`.
  func token() throws(RegistryClientError) -> String {
    if let content { return content }
    return try Self.read(path).text
  }

  /// Without white space around it.
  private static func read(_ path: String) throws(RegistryClientError) -> (text: String, isPipe: Bool) {
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: maximumLength + 1)
    buffer.initialize(repeating: 0)
    defer {
      explicit_bzero(buffer.baseAddress!, buffer.count)
      buffer.deallocate()
    }
    let (count, isPipe) = try SecretFile.read(path, into: buffer, ifExposed: "get another token")
    guard count <= maximumLength else {
      throw .secretFile(path: path, message: "it has more than \(maximumLength) bytes, so it is no token")
    }
    let words = buffer[..<count].split { [9, 10, 13, 32].contains($0) }
    guard words.count == 1, let word = words.first else {
      throw .secretFile(path: path, message: "it must contain a token and nothing else")
    }
    return (String(decoding: word, as: UTF8.self), isPipe)
  }
}
