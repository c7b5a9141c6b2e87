import Foundation

/// The part of a document under docs/ that is made from the code. It is between two marks:
///
///     <!-- made from NAME: UPDATE_GOLDEN=1 make test renews it -->
///     ...
///     <!-- end of NAME -->
public enum GeneratedPart {
  /// Whether the document holds the text. With `UPDATE_GOLDEN=1` it is written first.
  public static func isUpToDate(_ text: String, madeFrom name: String, in document: String) throws -> Bool {
    let url = url(of: document)
    let content = try String(contentsOf: url, encoding: .utf8)
    let begin = "<!-- made from \(name): UPDATE_GOLDEN=1 make test renews it -->\n\n"
    guard let head = content.range(of: begin), let tail = content.range(of: "\n<!-- end of \(name) -->") else {
      return false
    }
    let renewed = content[..<head.upperBound] + text + content[tail.lowerBound...]
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
      try Data(renewed.utf8).write(to: url)
      return true
    }
    return renewed == content
  }

  /// The whole document.
  public static func text(of document: String) throws -> String {
    try String(contentsOf: url(of: document), encoding: .utf8)
  }

  private static func url(of document: String) -> URL {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/\(document)")
      .standardizedFileURL
  }
}
