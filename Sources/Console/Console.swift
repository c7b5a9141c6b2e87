private import CConsoleFiles
public import HTTP

/// The web console: files that are embedded in the program, and their configuration.
///
/// It answers from memory, compresses each file once, and stores nothing. The console uses the public API with the owner's
/// token and nothing else.
public struct Console: Sendable {
  private let files: [String: WebFile]

  /// The path that all of its paths begin with.
  public static let path = "/console/"
  private static let pathWithoutSlash = "/console"
  private static let methods = ["GET", "HEAD"]
  private static let allowedMethods = "GET, HEAD"

  /// - Parameters:
  ///   - signIn: the provider of OpenID Connect that people sign in with; nil for tokens only.
  ///   - routes: the paths of the API, so that the pages show only what it can do.
  public init(signIn: OpenIDProvider? = nil, routes: [String] = []) {
    let policy = ContentPolicy(signIn: signIn)
    var files: [String: WebFile] = [:]
    for (name, content) in Self.embedded {
      files[Self.path + name] = WebFile(name: name, content: content, policy: policy)
    }
    files[Self.path] = files[Self.path + "index.html"]
    files[Self.path + "config.json"] = WebFile(
      name: "config.json", content: Array(Self.configuration(signIn, routes).utf8), policy: policy)
    self.files = files
  }

  /// The answer; nil for a path that is not the console's.
  public func answer(_ request: Request) -> Response? {
    guard request.path.hasPrefix(Self.pathWithoutSlash) else { return nil }
    let isRoot = request.path == Self.pathWithoutSlash
    guard isRoot || request.path.hasPrefix(Self.path) else { return nil }
    guard Self.methods.contains(request.method) else {
      return Self.text(405, "The method must be GET or HEAD.\n", [("Allow", Self.allowedMethods)])
    }
    // Relative, so that it holds behind a proxy. Browsers keep the fragment, which may hold a token.
    if isRoot { return Response(status: 308, fields: [("Location", Self.path)]) }
    guard let file = files[String(request.path)] else {
      return Self.text(404, "The console has no such page; it is at \(Self.path).\n", [])
    }
    return file.response(to: request)
  }

  private static func text(
    _ status: Int, _ text: String, _ fields: [(name: StaticString, value: String)]
  ) -> Response {
    let body = ByteBuffer(capacity: text.utf8.count)
    body.append(utf8: text)
    return Response(status: status, fields: fields, contentType: "text/plain; charset=utf-8", body: body)
  }

  /// Names and contents of the embedded files.
  static var embedded: [(name: String, content: [UInt8])] {
    var count: UInt = 0
    guard let files = console_files(&count) else { return [] }
    return (0..<Int(count)).map { index in
      let file = files[index]
      return (String(cString: file.name), Array(UnsafeBufferPointer(start: file.bytes, count: Int(file.count))))
    }
  }
}
