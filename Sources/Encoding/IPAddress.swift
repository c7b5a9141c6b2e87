public import Glibc

/// An IP address. A version 4 address is stored mapped into version 6 (RFC 4291, section 2.5.5.2).
public struct IPAddress: Hashable, Sendable {
  /// The first eight octets, big endian.
  public let high: UInt64
  /// The last eight octets, big endian.
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// - Parameter octets: 16 of them, in network order.
  public init(octets: UnsafeRawBufferPointer) {
    self.init(
      high: UInt64(bigEndian: octets.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }

  /// The address of a socket; all zeros for other families.
  public init(_ socketAddress: sockaddr_storage) {
    self = withUnsafeBytes(of: socketAddress) { bytes in
      switch Int32(socketAddress.ss_family) {
      case AF_INET:
        IPAddress(version4: UInt32(bigEndian: bytes.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
      case AF_INET6:
        withUnsafeBytes(of: bytes.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { IPAddress(octets: $0) }
      default: IPAddress(high: 0, low: 0)
      }
    }
  }

  /// Nil if the text is neither `192.0.2.1` nor `2001:db8::1`.
  public init?(_ text: String) {
    var text = text
    guard let address = text.withUTF8({ IPAddress($0) }) else { return nil }
    self = address
  }

  /// Nil if the text is not exactly an address of either version. Allocates nothing.
  public init?(_ text: UnsafeBufferPointer<UInt8>) {
    guard (1..<Int(INET6_ADDRSTRLEN)).contains(text.count), !text.contains(0) else { return nil }
    let address: IPAddress? = withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) {
      characters in
      for (index, byte) in text.enumerated() { characters[index] = CChar(bitPattern: byte) }
      characters[text.count] = 0
      return Self.parse(characters.baseAddress!)
    }
    guard let address else { return nil }
    self = address
  }

  private static func parse(_ text: UnsafePointer<CChar>) -> IPAddress? {
    var version4 = in_addr()
    if inet_pton(AF_INET, text, &version4) == 1 {
      return IPAddress(version4: UInt32(bigEndian: version4.s_addr))
    }
    var version6 = in6_addr()
    guard inet_pton(AF_INET6, text, &version6) == 1 else { return nil }
    return withUnsafeBytes(of: version6) { IPAddress(octets: $0) }
  }

  /// - Parameter address: the 32 bits of a version 4 address, the first octet in the highest.
  public init(version4 address: UInt32) { self.init(high: 0, low: Self.mapped | UInt64(address)) }

  private static let mapped: UInt64 = 0xFFFF << 32

  /// Whether it is an address of version 4.
  public var isVersion4: Bool { high == 0 && low >> 32 == Self.mapped >> 32 }
}

extension IPAddress: CustomStringConvertible {
  /// Like `192.0.2.1`, or in the form of RFC 5952.
  public var description: String {
    var octets = (high.bigEndian, low.bigEndian)
    let capacity = Int(INET6_ADDRSTRLEN)
    return String(unsafeUninitializedCapacity: capacity) { text in
      text.withMemoryRebound(to: CChar.self) { text in
        withUnsafeBytes(of: &octets) { octets in
          let family = isVersion4 ? AF_INET : AF_INET6
          let start = octets.baseAddress! + (isVersion4 ? 12 : 0)
          return inet_ntop(family, start, text.baseAddress!, socklen_t(capacity)) == nil
            ? 0 : strlen(text.baseAddress!)
        }
      }
    }
  }
}

/// The addresses with a common prefix, like `10.0.0.0/8`.
public struct IPPrefix: Hashable, Sendable {
  private let base: IPAddress
  private let mask: IPAddress

  /// Nil if the text is neither an address nor a prefix, or if bits after the prefix are set.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let base = IPAddress(String(parts[0])) else { return nil }
    var length = 128
    if parts.count == 2 {
      let bound = base.isVersion4 ? 32 : 128
      guard parts[1].utf8.count <= 3, let bits = DecimalText.read(parts[1], in: 0...bound) else { return nil }
      length = 128 - bound + bits
    }
    self.base = base
    mask = IPAddress(high: Self.ones(length), low: Self.ones(length - 64))
    guard contains(base) else { return nil }
  }

  /// A word whose first bits are set.
  private static func ones(_ count: Int) -> UInt64 {
    count <= 0 ? 0 : count >= 64 ? .max : ~(.max >> UInt64(count))
  }

  public func contains(_ address: IPAddress) -> Bool {
    address.high & mask.high == base.high && address.low & mask.low == base.low
  }
}
