public import Encoding
internal import Glibc
internal import RequestSignature

/// Who a device is, and the keys that prove it. The secret itself is not kept: the keys that are derived of it lie in
/// memory that is wiped, and print as `<redacted>`.
public struct DeviceCredentials: Sendable {
  /// The device's id, a UUID in lower case.
  public var id: String { signer.keyID }
  let signer: RequestSigner

  /// Characters of a secret, each one of `0-9 a-f`.
  public static let secretLength = 64

  /// Derives the keys of a secret's characters, which are the caller's to wipe. Throws `invalidArgument` for an id or
  /// a secret that is not of its form.
  public init(id: String, secret: UnsafeBufferPointer<UInt8>) throws(RegistryClientError) {
    guard secret.count == Self.secretLength, secret.allSatisfy(\.isLowerCaseHexDigit) else {
      throw .invalidArgument(
        name: "secret",
        message: "must be the \(Self.secretLength) characters 0-9 and a-f that registration showed")
    }
    do {
      signer = try RequestSigner(keyID: id, keys: DeviceKeys(secret: secret))
    } catch {
      throw .invalidArgument(name: "id", message: "must be the device's id, a UUID in lower case")
    }
  }

  /// As above. A `String` cannot be wiped: prefer a file where the secret is at rest.
  public init(id: String, secret: String) throws(RegistryClientError) {
    let bytes = Array(secret.utf8)
    self = try bytes.withUnsafeBufferPointer { bytes throws(RegistryClientError) in
      try DeviceCredentials(id: id, secret: bytes)
    }
  }

  /// Reads the secret from a file, which may have a line break at its end, through memory that is wiped. Throws
  /// `secretFile` where that cannot be done, or others than the owner may read the file.
  public init(id: String, secretFile path: String) throws(RegistryClientError) {
    // One more than secret and line break: then there is too much in it.
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: Self.secretLength + 3)
    buffer.initialize(repeating: 0)
    defer {
      explicit_bzero(buffer.baseAddress!, buffer.count)
      buffer.deallocate()
    }
    var count = try Self.read(path, into: buffer)
    for character in [UInt8(ascii: "\n"), UInt8(ascii: "\r")] where count > 0 && buffer[count - 1] == character
    {
      count -= 1
    }
    try self.init(id: id, secret: UnsafeBufferPointer(buffer.extracting(0..<count)))
  }

  private static func read(_ path: String, into buffer: UnsafeMutableBufferPointer<UInt8>)
    throws(RegistryClientError) -> Int
  {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .secretFile(path: path, message: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .secretFile(path: path, message: String(cString: strerror(errno)))
    }
    // A pipe, `<(command)` in a shell, is nobody else's to read.
    let isFile = status.st_mode & S_IFMT == S_IFREG
    guard !isFile || status.st_mode & 0o077 == 0 else {
      throw .secretFile(
        path: path, message: "others may read it; chmod 600 it, and rotate the secret if they did")
    }
    var count = 0
    while count < buffer.count {
      let piece = Glibc.read(descriptor, buffer.baseAddress! + count, buffer.count - count)
      guard piece >= 0 else { throw .secretFile(path: path, message: String(cString: strerror(errno))) }
      guard piece > 0 else { break }
      count += piece
    }
    return count
  }
}

extension DeviceCredentials: Redacted {
  public var description: String { "device \(id) <redacted>" }
}
