import Foundation
import TestSupport

/// A file that has a secret and a line break in it, and is its owner's alone.
func secretFile(_ secret: String, in directory: TemporaryDirectory) throws -> String {
  let path = "\(directory.path)/\(UUID().uuidString)"
  guard
    FileManager.default.createFile(
      atPath: path, contents: Data((secret + "\n").utf8), attributes: [.posixPermissions: 0o600])
  else { throw CocoaError(.fileWriteUnknown) }
  return path
}
