/// A key set fetched from its URL, and how long it stays fresh.
public struct FetchedKeySet: Sendable {
  public let keys: JWKSet
  let lifetimeSeconds: Int

  /// Reads the response to a `GET` of the URL. The last three parameters are those of `KeySetFreshness`.
  ///
  /// Throws `notFetched` for a status other than 200, and the errors of `JWKSet`: a set without a usable key is more
  /// often a provider's mistake than a withdrawal.
  public init(
    status: Int, body: [UInt8], cacheControl: [String], ageSeconds: Int?, expiresInSeconds: Int?
  ) throws(JWKSetError) {
    guard status == 200 else { throw .notFetched(reason: "the answer was \(status), not 200") }
    self.init(
      keys: try JWKSet(json: body),
      lifetimeSeconds: KeySetFreshness.seconds(
        cacheControl: cacheControl, ageSeconds: ageSeconds, expiresInSeconds: expiresInSeconds))
  }

  init(keys: JWKSet, lifetimeSeconds: Int) {
    self.keys = keys
    self.lifetimeSeconds = lifetimeSeconds
  }
}

/// How long a fetched key set stays fresh, by its HTTP header fields (RFC 9111, section 4.2).
enum KeySetFreshness {
  /// The lifetime without header fields, and the bounds of every lifetime.
  static let defaultSeconds = 5 * 60
  static let boundsSeconds = 10...24 * 60 * 60

  /// - Parameters:
  ///   - cacheControl: the `Cache-Control` field lines.
  ///   - ageSeconds: `Age`, the part of the lifetime that passed in caches.
  ///   - expiresInSeconds: `Expires` minus `Date`, or minus the current time.
  static func seconds(cacheControl: [String], ageSeconds: Int?, expiresInSeconds: Int?) -> Int {
    let directives = cacheControl.joined(separator: ",").lowercased().split(separator: ",")
      .map { $0.filter { $0 != " " && $0 != "\t" && $0 != "\"" } }
    if directives.contains("no-store") || directives.contains("no-cache") { return boundsSeconds.lowerBound }
    let maxAge = directives.first { $0.hasPrefix("max-age=") }.flatMap { Int($0.dropFirst("max-age=".count)) }
    let seconds =
      if let maxAge {
        maxAge.subtractingReportingOverflow(max(0, ageSeconds ?? 0)).partialValue
      } else {
        expiresInSeconds ?? defaultSeconds
      }
    return min(max(seconds, boundsSeconds.lowerBound), boundsSeconds.upperBound)
  }
}
