internal import HTTP
internal import Registry

// Limits, as draft-ietf-httpapi-ratelimit-headers has them: structured fields (RFC 9651), lists of one string each.

extension Response {
  /// Says where the caller stands with a limit.
  mutating func tell(_ standing: RateLimit.Standing) {
    let name = standing.subject.rawValue
    fields.append(
      (
        "RateLimit-Policy",
        Self.item(name, "q", standing.limit.requests, "w", standing.limit.windowSeconds)
      ))
    fields.append(("RateLimit", Self.item(name, "r", standing.remaining, "t", standing.resetSeconds)))
  }

  /// A string with two parameters, as `"device";r=599;t=1`: on the way of each poll, so written by hand.
  private static func item(
    _ name: String, _ first: StaticString, _ firstValue: Int, _ second: StaticString, _ secondValue: Int
  ) -> String {
    String(unsafeUninitializedCapacity: maximumItemLength) { buffer in
      var text = ItemWriter(buffer: buffer)
      text.append(UInt8(ascii: "\""))
      for byte in name.utf8 { text.append(byte) }
      text.append(UInt8(ascii: "\""))
      text.append(first, firstValue)
      text.append(second, secondValue)
      return text.count
    }
  }

  /// A quoted word of seven letters at most, and two parameters of one letter and seven digits at most.
  private static let maximumItemLength = 32
}

private struct ItemWriter {
  let buffer: UnsafeMutableBufferPointer<UInt8>
  private(set) var count = 0

  init(buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

  mutating func append(_ byte: UInt8) {
    buffer[count] = byte
    count += 1
  }

  /// A parameter of one letter.
  mutating func append(_ parameter: StaticString, _ value: Int) {
    precondition((0..<10_000_000).contains(value))
    append(UInt8(ascii: ";"))
    append(parameter.utf8Start[0])
    append(UInt8(ascii: "="))
    var divisor = 1
    while value / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }
}
