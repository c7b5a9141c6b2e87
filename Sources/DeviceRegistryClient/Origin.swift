internal import Foundation

/// The scheme, host and port of the registry.
struct Origin: Hashable, Sendable {
  /// `http` or `https`.
  let scheme: String
  /// The host, with the port if the URL has one.
  let authority: String
  /// Plain HTTP to this machine, which must not leave it.
  let isPlainLoopback: Bool

  /// Throws `invalidURL` if the text is not an origin, and for plain HTTP to another machine: an attacker on the
  /// network could read tokens and delay a device's requests.
  init(_ url: String, allowsInsecureHTTP: Bool) throws(RegistryClientError) {
    guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
      let host = parts.percentEncodedHost?.lowercased(), !host.isEmpty
    else { throw .invalidURL("it must be like https://registry.example.com") }
    guard parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil,
      ["", "/"].contains(parts.percentEncodedPath)
    else { throw .invalidURL("it must have only a scheme, a host and a port; remove the path") }
    switch scheme {
    case "https": break
    case "http":
      guard allowsInsecureHTTP || Self.isLoopback(host) else {
        throw .invalidURL(
          "plain HTTP is only allowed to this machine; use https, or --insecure-http (in Swift: allowsInsecureHTTP)"
        )
      }
    default: throw .invalidURL("its scheme must be https, or http on this machine")
    }
    self.scheme = scheme
    isPlainLoopback = scheme == "http" && Self.isLoopback(host)
    authority = parts.port.map { "\(host):\($0)" } ?? host
  }

  /// The URL of a request target.
  func url(_ target: String) -> String { "\(scheme)://\(authority)\(target)" }

  private static func isLoopback(_ host: String) -> Bool {
    if host == "localhost" || host == "[::1]" || host == "::1" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}
