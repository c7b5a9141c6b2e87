internal import Glibc

// What the commands share that call a registry: they parse their arguments, and a program that is built on the client
// library does the rest.

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

/// The options of a command that calls a registry as an owner.
enum CallingOwner {
  static let flags = CalledRegistry.flags + [tokenFile]
  static let switches = CalledRegistry.switches
  static let rows =
    [
      (
        "\(tokenFile), \(tokenFileVariable)",
        "file with a token; only its owner may have access to it. It is read before each request"
      ), CalledRegistry.urlRow,
    ] + CalledRegistry.connectionRows

  private static let tokenFile = "--token-file"
  private static let tokenFileVariable = "DEVICE_REGISTRY_TOKEN_FILE"

  /// The registry and the token's file, for the program.
  static func words(_ arguments: Arguments, _ environment: [String: String]) throws(UsageError) -> [String] {
    guard let file = arguments.value(of: tokenFile) ?? environment.text(tokenFileVariable), !file.isEmpty else {
      throw UsageError("missing option \(tokenFile), or \(tokenFileVariable): the file with your token")
    }
    return CalledRegistry.words(arguments, environment) + [file]
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
