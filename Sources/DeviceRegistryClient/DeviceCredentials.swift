public import Encoding
internal import Glibc
internal import RequestSignature

/// A device's id and the keys that authenticate it. The secret itself is not kept: the keys derived from it are in
/// memory that is wiped, and print as `<redacted>`.
public struct DeviceCredentials: Sendable {
  /// The device's id, a UUID in lower case.
  public var id: String { signer.keyID }
  let signer: RequestSigner

  /// Characters of a secret, each one of `0-9 a-f`.
  public static let secretLength = 64

  /// Derives the keys from a secret's characters; the caller wipes the secret. Throws `invalidArgument` if the id or
  /// the secret is malformed.
  public init(id: String, secret: UnsafeBufferPointer<UInt8>) throws(RegistryClientError) {
    guard secret.count == Self.secretLength, secret.allSatisfy(\.isLowerCaseHexDigit) else {
      throw .invalidArgument(
        name: "secret",
        message: "must be the \(Self.secretLength) characters 0-9 and a-f from the registration")
    }
    do {
      signer = try RequestSigner(keyID: id.lowercased(), keys: DeviceKeys(secret: secret))
    } catch {
      throw .invalidArgument(name: "id", message: "must be the device's id, a UUID")
    }
  }

  /// As above. A `String` cannot be wiped: prefer a file.
  public init(id: String, secret: String) throws(RegistryClientError) {
    let bytes = Array(secret.utf8)
    self = try bytes.withUnsafeBufferPointer { bytes throws(RegistryClientError) in
      try DeviceCredentials(id: id, secret: bytes)
    }
  }

  /// Reads the secret from a file, which may end with a line break, through memory that is wiped. Throws `secretFile`
  /// if the file cannot be read, or if others than its owner can read it.
  public init(id: String, secretFile path: String) throws(RegistryClientError) {
    // One byte more than secret and line break, to detect longer files.
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: Self.secretLength + 3)
    buffer.initialize(repeating: 0)
    defer {
      explicit_bzero(buffer.baseAddress!, buffer.count)
      buffer.deallocate()
    }
    var count = try SecretFile.read(path, into: buffer, ifExposed: "rotate the secret").count
    for character in [UInt8(ascii: "\n"), UInt8(ascii: "\r")] where count > 0 && buffer[count - 1] == character
    {
      count -= 1
    }
    try self.init(id: id, secret: UnsafeBufferPointer(buffer.extracting(0..<count)))
  }
}

extension DeviceCredentials: Redacted {
  public var description: String { "device \(id) <redacted>" }
}
