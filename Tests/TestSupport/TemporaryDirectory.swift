import Foundation

/// A new folder, deleted with its owner.
public final class TemporaryDirectory: Sendable {
  /// Without a slash at its end.
  public let path: String

  public init() {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("test-\(UUID().uuidString)")
    try! FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
