private import Crypto
private import Glibc

/// Writes the requests of a plan, and signs them.
struct RequestWriter {
  private let steps: [(head: Template, body: Template, base: Template)]
  private let actors: [(id: [UInt8], token: [UInt8])]
  private let key: [UInt8]
  private let mask: [UInt8]
  /// Different in every run.
  private let noncePrefix: [UInt8]
  private var count = 0

  private var body: [UInt8] = []
  private var base: [UInt8] = []

  init(_ plan: Plan) {
    steps = plan.steps.map { (Template($0.head), Template($0.body), Template($0.base)) }
    actors = plan.actors.map { (Array($0.id.utf8), Array($0.token.utf8)) }
    key = plan.key.map(Self.bytes(ofHex:)) ?? []
    mask = plan.mask.map(Self.bytes(ofHex:)) ?? [UInt8](repeating: 0, count: HMACSHA256.length)
    noncePrefix = Self.digits(.random(in: 0...9_999_999_999), count: 10)
  }

  /// Appends the request of a step of an actor.
  mutating func append(
    step: Int, actor: Int, found: [UInt8], nowSeconds: Int, to output: inout [UInt8]
  ) {
    count += 1
    let (head, bodyTemplate, baseTemplate) = steps[step]
    let (id, token) = actors[actor]
    let number = Self.digits(count, count: 12)
    let created = Self.digits(nowSeconds, count: 10)
    let (key, mask, noncePrefix) = (key, mask, noncePrefix)
    body.removeAll(keepingCapacity: true)
    base.removeAll(keepingCapacity: true)

    func value(_ slot: Slot, _ body: [UInt8], _ base: [UInt8]) -> [UInt8] {
      switch slot {
      case .id: id
      case .token: token
      case .count: number
      case .created: created
      case .nonce: noncePrefix + number
      case .found: found
      case .length: Array(String(body.count).utf8)
      case .digest: Self.base64(SHA256.hash(body))
      case .proof: Self.base64(zip(HMACSHA256.authenticate(key: key, message: base), mask).map { $0 ^ $1 })
      }
    }
    bodyTemplate.append(to: &body) { value($0, [], []) }
    let written = body
    if !baseTemplate.isEmpty { baseTemplate.append(to: &base) { value($0, written, []) } }
    let signed = base
    head.append(to: &output) { value($0, written, signed) }
    output.append(contentsOf: written)
  }

  private static func digits(_ number: Int, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      var rest = number
      for index in stride(from: count - 1, through: 0, by: -1) {
        buffer[index] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      }
      initialized = count
    }
  }

  private static func bytes(ofHex text: String) -> [UInt8] {
    stride(from: 0, to: text.utf8.count, by: 2).compactMap { offset in
      UInt8(text.dropFirst(offset).prefix(2), radix: 16)
    }
  }

  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  private static func base64(_ bytes: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = (0..<3).reduce(0) { $0 << 8 | (start + $1 < bytes.count ? Int(bytes[start + $1]) : 0) }
      for place in 0..<4 {
        text.append(
          start + place <= bytes.count ? alphabet[group >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
      }
    }
    return text
  }
}
