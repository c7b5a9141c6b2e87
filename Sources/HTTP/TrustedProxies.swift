internal import Encoding

/// The proxies whose additions to `X-Forwarded-For` are trusted.
public struct TrustedProxies: Hashable, Sendable {
  private let prefixes: [IPPrefix]

  /// Proxies that one request may have passed.
  public static let maximumHops = 32
  /// Addresses and prefixes that may be configured.
  public static let maximumPrefixes = 256

  /// Trusts no proxy: a request comes from its connection's peer.
  public static let none = TrustedProxies(prefixes: [])

  private init(prefixes: [IPPrefix]) { self.prefixes = prefixes }

  /// Reads addresses and prefixes of both IP versions, like `10.0.0.0/8, 2001:db8::1`. Throws `Malformation`.
  public init(_ text: String) throws(Malformation) {
    var prefixes: [IPPrefix] = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      let word = String(word.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
      guard let prefix = IPPrefix(word) else { throw Malformation(word: word) }
      prefixes.append(prefix)
    }
    guard prefixes.count <= Self.maximumPrefixes else { throw Malformation(word: text) }
    self.prefixes = prefixes
  }

  /// The text that is neither an address nor a prefix.
  public struct Malformation: Error, Hashable {
    public let word: String
  }

  func contains(_ address: IPAddress) -> Bool { prefixes.contains { $0.contains(address) } }

  /// The client's address: the first address that is not trusted, starting from the peer and continuing with the
  /// addresses that the proxies named, last to first. An entry that cannot be read, or a proxy that names no address,
  /// ends the search with the previous address.
  func client(of peer: IPAddress, _ fields: HeaderFields) -> IPAddress {
    guard contains(peer) else { return peer }
    var client = peer
    var hops = 0
    fields.forEachReversed(of: "x-forwarded-for") { value in
      var rest = value
      while true {
        let comma = rest.lastIndex(of: UInt8(ascii: ","))
        let element = UnsafeBufferPointer(rebasing: rest[(comma.map { $0 + 1 } ?? 0)...])
        guard hops < Self.maximumHops, let address = Self.address(element) else { return false }
        client = address
        hops += 1
        guard contains(address) else { return false }
        guard let comma else { return true }
        rest = UnsafeBufferPointer(rebasing: rest[..<comma])
      }
    }
    return client
  }

  /// The address of an element: some proxies add a port, and brackets around version 6.
  private static func address(_ element: UnsafeBufferPointer<UInt8>) -> IPAddress? {
    let text = element.trimmingBlanks()
    guard !text.isEmpty else { return nil }
    if let address = IPAddress(text) { return address }
    if text[0] == UInt8(ascii: "[") {
      guard let end = text.firstIndex(of: UInt8(ascii: "]")), isPort(text[(end + 1)...]) else { return nil }
      return IPAddress(UnsafeBufferPointer(rebasing: text[1..<end]))
    }
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")), isPort(text[colon...]) else { return nil }
    return IPAddress(UnsafeBufferPointer(rebasing: text[..<colon]))
  }

  /// Nothing, or a colon and up to five digits.
  private static func isPort(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
    guard let first = text.first else { return true }
    return first == UInt8(ascii: ":") && (2...6).contains(text.count)
      && text.dropFirst().allSatisfy(\.isDigit)
  }
}
