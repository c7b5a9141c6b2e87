/// A text with slots, parsed once, so that filling it in only copies.
struct Template {
  private enum Part {
    case text([UInt8])
    case slot(Slot)
  }

  private var parts: [Part] = []

  init(_ text: String) {
    var rest = text[...]
    while let start = rest.firstIndex(of: "{") {
      let end = rest[start...].firstIndex(of: "}")
      if let end, let slot = Slot(rawValue: String(rest[start...].dropFirst()[..<end])) {
        parts.append(.text(Array(rest[..<start].utf8)))
        parts.append(.slot(slot))
        rest = rest[end...].dropFirst()
      } else {
        parts.append(.text(Array(rest[...start].utf8)))
        rest = rest[start...].dropFirst()
      }
    }
    parts.append(.text(Array(rest.utf8)))
  }

  var isEmpty: Bool { parts.allSatisfy { if case .text(let text) = $0 { text.isEmpty } else { false } } }

  func append(to output: inout [UInt8], _ value: (Slot) -> [UInt8]) {
    for part in parts {
      switch part {
      case .text(let text): output.append(contentsOf: text)
      case .slot(let slot): output.append(contentsOf: value(slot))
      }
    }
  }
}

/// The parts that differ between the requests of a step.
enum Slot: String {
  /// Values of the actor.
  case id, token
  /// 12 digits, new for each request.
  case count
  /// The time in seconds since 1970.
  case created
  /// 22 characters, new for each request.
  case nonce
  /// A value from the answer to the previous step.
  case found
  /// The body's SHA-256 in base64, and its length in bytes.
  case digest, length
  /// The signature, in base64.
  case proof
}
