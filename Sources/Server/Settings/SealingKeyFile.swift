internal import Commands
internal import Crypto
internal import Encoding
private import Glibc

/// A file of keys that seal secrets in the database, one on each line. The first one seals, and each opens what it
/// sealed, so that several processes keep working while the key is changed.
enum SealingKeyFile {
  /// Keys in a file.
  static let maximumKeys = 8

  /// The keys of the file that `SEALING_KEY_FILE` names, with a warning if others can read it; nil if it is not set.
  static func sealer(_ arguments: Arguments) throws(UsageError) -> (KeyFileSealer?, warning: String?) {
    guard let path = arguments.value(of: .sealingKeyFile) else { return (nil, nil) }
    let keys = try keys(in: path) { UsageError(.sealingKeyFile, $0) }
    return (KeyFileSealer(keys, path: path), warning(of: path))
  }

  /// - Parameter wrong: makes an error from a sentence without its subject.
  static func keys(in path: String, wrong: (String) -> UsageError) throws(UsageError) -> [SealingKey] {
    var content: [UInt8]
    do throws(FileUnreadable) { content = try Configuration.readFile(path) } catch {
      throw wrong(error.description)
    }
    defer { content.withUnsafeMutableBufferPointer { wipe($0) } }
    let lines = content.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    guard 1...maximumKeys ~= lines.count else {
      throw wrong("\(path) must have 1 to \(maximumKeys) keys, each on a line; \(advice)")
    }
    var keys: [SealingKey] = []
    for (index, line) in lines.enumerated() {
      guard let key = SealingKey(hexadecimal: line) else {
        throw wrong(
          "line \(index + 1) of \(path) must be \(2 * SealingKey.length) hexadecimal digits; \(advice)")
      }
      keys.append(key)
    }
    return keys
  }

  private static let advice = "`openssl rand -hex \(SealingKey.length)` generates a key"

  /// Group access is no cause: systemd passes credentials that way.
  private static func warning(of path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & 0o007 != 0 else { return nil }
    return "every user can read \(path) (mode \(String(status.st_mode & 0o777, radix: 8))): set its mode to 600"
  }
}

extension SealingKey {
  /// Nil unless there are two hexadecimal digits for each byte of a key.
  fileprivate convenience init?(hexadecimal digits: ArraySlice<UInt8>) {
    guard digits.count == 2 * Self.length, digits.allSatisfy({ Hex.value($0) != nil }) else { return nil }
    self.init { bytes in
      for (index, digit) in digits.enumerated() { bytes[index / 2] = bytes[index / 2] << 4 | Hex.value(digit)! }
    }
  }
}
