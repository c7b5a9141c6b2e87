@testable import HTTP

/// The first request of a connection on which the machine and h11 disagree.
struct Difference {
  enum Kind: Equatable {
    /// Both accept the request, but read other fields or content, or another end.
    case reading
    /// We refuse the request, and h11 accepts it, or would if its line or section ended here.
    case refusedByUs(Refusal)
    /// We refuse the request. h11 waits for the end of the line or section, and would refuse it then.
    case refusedEarlierByUs(Refusal)
    /// h11 refuses the request, and we accept it.
    case refusedByH11
    /// h11 refuses the request, and we wait for more of it.
    case refusedEarlierByH11
    /// We close the connection after the previous request, and h11 does not.
    case closedByUs
    /// h11 closes the connection after the previous request, and we do not.
    case closedByH11
    /// One waits for more of the request, and the other accepts it.
    case waiting
  }

  let kind: Kind
  /// The previous request, on which both agree; nil where there is none.
  let previous: ReadRequest?
  /// The request as h11 reads it; nil where h11 has not accepted its header section.
  let request: ReadRequest?
  /// The bytes of the request, up to the one at which we refuse it, or to the last that there is.
  let bytes: [UInt8]
  private let readings: String

  /// Nil where both agree on all requests, and on what follows them.
  init?(in input: [UInt8], _ ours: MachineReading, _ theirs: H11Reading) {
    let agreed = zip(ours.requests, theirs.requests).prefix { $0 == $1 }.count
    guard let kind = Self.kind(ours, theirs, agreed: agreed) else { return nil }
    self.kind = kind
    previous = ours.requests[..<agreed].last
    request = theirs.requests.dropFirst(agreed).first ?? theirs.begun
    // Only byte by byte does the machine stop at the one that it refuses.
    let end = ours.end == .refused ? MachineReading(of: input, by: 1).bytesUntilRefusal : input.count
    let start = previous?.end ?? 0
    bytes = Array(input[start..<max(start, end)])
    readings = "sent: \(input.escaped)\nwe read: \(ours)\nh11 reads: \(theirs)"
  }

  private static func kind(_ ours: MachineReading, _ theirs: H11Reading, agreed: Int) -> Kind? {
    // Nil where another request follows.
    let ourEnd = ours.requests.count > agreed ? nil : ours.end
    let theirEnd = theirs.requests.count > agreed ? nil : theirs.end
    switch (ourEnd, theirEnd) {
    case (nil, nil): return .reading
    case _ where ourEnd == theirEnd: return nil
    case (.closed, _): return .closedByUs
    case (_, .closed): return .closedByH11
    case (.refused, .waiting) where theirs.objection != nil: return .refusedEarlierByUs(ours.refusal!)
    case (.refused, _): return .refusedByUs(ours.refusal!)
    case (nil, .refused): return .refusedByH11
    case (_, .refused): return .refusedEarlierByH11
    default: return .waiting
    }
  }
}

extension Difference: CustomStringConvertible {
  var description: String { "\(kind) at the end of \(bytes.escaped)\n\(readings)" }
}

extension [UInt8] {
  /// In ASCII, as a literal has it.
  fileprivate var escaped: String {
    String(latin1: self).unicodeScalars.map { $0.escaped(asASCII: true) }.joined()
  }
}

// MARK: Lines

extension Difference {
  /// With their ends. The last one may have none.
  typealias Lines = ArraySlice<ArraySlice<UInt8>>

  private var lines: Lines {
    var lines: [ArraySlice<UInt8>] = []
    var rest = bytes[...]
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      lines.append(rest[...end])
      rest = rest[(end + 1)...]
    }
    return (rest.isEmpty ? lines : lines + [rest])[...]
  }

  var requestLine: ArraySlice<UInt8> { lines.first ?? [] }

  /// The line at which we refuse the request, as far as we read it.
  var lastLine: ArraySlice<UInt8> { lines.last ?? [] }

  /// The lines after the header section, as far as we read them.
  var contentLines: Lines { lines.drop { !$0.isEmptyLine }.dropFirst() }

  /// The lines of the trailer section, as far as we read them; nil where we did not reach it.
  var trailerLines: Lines? {
    contentLines.lastIndex(where: \.isLastChunk).map { contentLines[($0 + 1)...] }
  }

  /// The lines of the section at which we refuse the request: the header section or the trailer section.
  var sectionLines: Lines { trailerLines ?? lines.dropFirst() }

  /// The values of a field in that section, as they were sent.
  func sentValues(of name: String) -> [String] {
    sectionLines.compactMap { line in
      let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, String(latin1: parts[0]).lowercased() == name else { return nil }
      return String(latin1: parts[1].filter { !" \t\r\n".utf8.contains($0) })
    }
  }
}

extension ArraySlice<UInt8> {
  /// Whether the line ends with LF alone.
  var endsWithBareLineFeed: Bool {
    last == UInt8(ascii: "\n") && dropLast().last != UInt8(ascii: "\r")
  }

  /// Whether the line continues the one before it (RFC 9112, section 5.2).
  var isFolded: Bool { first == UInt8(ascii: " ") || first == UInt8(ascii: "\t") }

  fileprivate var isEmptyLine: Bool { elementsEqual("\r\n".utf8) || elementsEqual("\n".utf8) }

  fileprivate var isLastChunk: Bool {
    let rest = drop { $0 == UInt8(ascii: "0") }
    return first == UInt8(ascii: "0") && (rest.first == UInt8(ascii: "\r") || rest.first == UInt8(ascii: ";"))
  }
}
