internal import Encoding
internal import HTTP
internal import Registry
internal import RequestSignature

// The fields of draft-ietf-httpapi-ratelimit-headers: structured fields (RFC 9651), lists of one string each.

extension Response {
  /// Adds the fields that report the caller's state at a limit.
  func tell(_ standing: RateLimit.Standing) { fields.append(contentsOf: standing.fields) }
}

extension RateLimit.Standing {
  var fields: [(name: StaticString, value: String)] {
    let name = subject.rawValue
    return [
      ("RateLimit-Policy", Self.item(name, "q", limit.requests, "w", limit.windowSeconds)),
      ("RateLimit", Self.item(name, "r", remaining, "t", resetSeconds)),
    ]
  }

  /// A string with two parameters, for example `"device";r=599;t=1`.
  private static func item(
    _ name: String, _ first: StaticString, _ firstValue: Int, _ second: StaticString, _ secondValue: Int
  ) -> String {
    TextWriter.string(capacity: maximumItemLength) { text in
      text.append("\"")
      text.append(name)
      text.append("\"")
      for (parameter, value) in [(first, firstValue), (second, secondValue)] {
        text.append(";")
        text.append(parameter)
        text.append("=")
        text.append(Int64(value))
      }
    }
  }

  /// A quoted word of at most seven letters, and two parameters of one letter and at most seven digits each.
  private static let maximumItemLength = 32
}
