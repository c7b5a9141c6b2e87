internal import COpenSSL

/// SHA-256 (FIPS 180-4).
public enum SHA256 {
  /// Bytes of a hash.
  public static let length = 32
  /// Bytes that the function takes in at a time.
  static let blockLength = 64

  /// The message's hash, `length` bytes.
  public static func hash(_ message: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: length) { output, count in
      hash(message, into: output)
      count = length
    }
  }

  /// The message's hash, `length` bytes.
  public static func hash(_ message: [UInt8]) -> [UInt8] { message.withUnsafeBufferPointer { hash($0) } }

  /// Writes the message's hash to the buffer's first `length` bytes, which may be the message's own.
  public static func hash(_ message: UnsafeBufferPointer<UInt8>, into output: UnsafeMutableBufferPointer<UInt8>)
  {
    let context = HashContext()
    context.begin()
    context.update(message)
    context.finish(into: output)
  }
}

/// HMAC-SHA-256 (RFC 2104).
///
/// OpenSSL's own HMAC looks its algorithm up anew for each message, which takes four times as long as the
/// hashing; so the construction, which is two hashes, is written out here.
public enum HMACSHA256 {
  /// Bytes of a code.
  public static let length = SHA256.length

  /// The message's authentication code under the key, `length` bytes.
  public static func authenticate(
    key: UnsafeBufferPointer<UInt8>, message: UnsafeBufferPointer<UInt8>
  ) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: length) { output, count in
      authenticate(key: key, message: message, into: output)
      count = length
    }
  }

  /// The message's authentication code under the key, `length` bytes.
  public static func authenticate(key: [UInt8], message: [UInt8]) -> [UInt8] {
    key.withUnsafeBufferPointer { key in
      message.withUnsafeBufferPointer { message in authenticate(key: key, message: message) }
    }
  }

  /// Writes the message's authentication code to the buffer's first `length` bytes. What was computed of the
  /// key is wiped.
  public static func authenticate(
    key: UnsafeBufferPointer<UInt8>, message: UnsafeBufferPointer<UInt8>,
    into output: UnsafeMutableBufferPointer<UInt8>
  ) {
    precondition(output.count >= length)
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: SHA256.blockLength) { block in
      block.initialize(repeating: 0)
      if key.count > SHA256.blockLength {
        SHA256.hash(key, into: block)
      } else {
        for index in key.indices { block[index] = key[index] }
      }
      let context = HashContext()
      for index in block.indices { block[index] ^= innerPad }
      context.begin()
      context.update(UnsafeBufferPointer(block))
      context.update(message)
      context.finish(into: output)
      for index in block.indices { block[index] ^= innerPad ^ outerPad }
      context.begin()
      context.update(UnsafeBufferPointer(block))
      context.update(UnsafeBufferPointer(output.extracting(..<length)))
      context.finish(into: output)
      wipe(block)
    }
  }

  private static let innerPad: UInt8 = 0x36
  private static let outerPad: UInt8 = 0x5C
}

/// A hash in the making. OpenSSL wipes it when it is freed.
private struct HashContext: ~Copyable {
  /// Found once: to look an algorithm up takes longer than to hash a short message with it. It is counted, and
  /// any thread may use it (OpenSSL's manual, EVP_MD_fetch).
  private nonisolated(unsafe) static let algorithm: OpaquePointer = {
    guard let algorithm = EVP_MD_fetch(nil, "SHA256", nil) else { fatalError("OpenSSL has no SHA-256") }
    return algorithm
  }()

  private let context: OpaquePointer

  /// OpenSSL fails in what follows only where memory is out.
  init() {
    guard let context = EVP_MD_CTX_new() else { fatalError("out of memory") }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  func begin() {
    let status = EVP_DigestInit_ex2(context, Self.algorithm, nil)
    precondition(status == 1)
  }

  func update(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let baseAddress = bytes.baseAddress else { return }
    let status = EVP_DigestUpdate(context, baseAddress, bytes.count)
    precondition(status == 1)
  }

  func finish(into output: UnsafeMutableBufferPointer<UInt8>) {
    precondition(output.count >= SHA256.length)
    let status = EVP_DigestFinal_ex(context, output.baseAddress!, nil)
    precondition(status == 1)
  }
}
