internal import Glibc

// What the commands share that call a registry: a program that is built on the client library runs them.

/// The options that say which registry is called.
enum CalledRegistry {
  static let flags = [url, caFile]
  static let switches = [insecureHTTP]

  static let urlRow = (
    "\(url), \(urlVariable)", "the registry's scheme, host and port (default: \(defaultURL))"
  )
  static let connectionRows = [
    (caFile, "PEM certificates to trust instead of the system's (default: the file in SSL_CERT_FILE)"),
    (insecureHTTP, "allow plain HTTP to another machine, which others on the network can read"),
  ]

  private static let (url, caFile, insecureHTTP) = ("--url", "--ca-file", "--insecure-http")
  private static let urlVariable = "DEVICE_REGISTRY_URL"
  private static let defaultURL = "http://localhost:8000"

  /// URL, whether plain HTTP is allowed, and the certificates or nothing, for the program.
  static func words(_ arguments: Arguments, _ environment: [String: String]) -> [String] {
    [
      arguments.value(of: url) ?? environment.text(urlVariable) ?? defaultURL,
      arguments.has(insecureHTTP) ? "insecure" : "secure", arguments.value(of: caFile) ?? "",
    ]
  }
}

/// A program in the same folder as this one.
enum NeighbourProgram: String {
  case device = "device-registry-device"
  case owner = "device-registry-owner"

  /// Replaces this process with the program. Returns only by throwing.
  func run(_ arguments: [String]) throws {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let length = readlink("/proc/self/exe", &buffer, buffer.count)
    guard length > 0 else {
      throw ProgramMissing(description: "cannot find \(rawValue): /proc is not mounted")
    }
    let own = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let path = own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + rawValue
    var words: [UnsafeMutablePointer<CChar>?] = ([rawValue] + arguments).map { strdup($0) } + [nil]
    execv(String(path), &words)
    let cause = String(cString: strerror(errno))
    for word in words { free(word) }
    throw ProgramMissing(
      description: "cannot start \(path) (\(cause)): install it in the same folder as device-registry")
  }
}

/// The program is missing from the installation.
private struct ProgramMissing: Error, CustomStringConvertible {
  let description: String
}

extension [String: String] {
  /// The value of a variable. An empty one counts as unset.
  fileprivate func text(_ name: String) -> String? { self[name].flatMap { $0.isEmpty ? nil : $0 } }
}
