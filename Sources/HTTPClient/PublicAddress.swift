public import Encoding

extension IPAddress {
  /// Whether the address is one of a host on the public internet: globally reachable in the registries of
  /// special-purpose addresses (https://www.iana.org/assignments/iana-ipv4-special-registry,
  /// https://www.iana.org/assignments/iana-ipv6-special-registry), and no metadata service of a cloud.
  ///
  /// An IPv4 address in an IPv6 address counts as that IPv4 address if it is mapped (RFC 4291, section 2.5.5.2) or
  /// through a NAT64 (RFC 6052). Other forms of IPv4 in IPv6 (compatible, 6to4, Teredo) are refused: they are obsolete,
  /// and a tunnel could lead anywhere.
  public var isPublic: Bool {
    if isVersion4 { return !Self.specialVersion4.contains { $0.contains(self) } }
    if Self.nat64.contains(self) { return IPAddress(version4: UInt32(truncatingIfNeeded: low)).isPublic }
    return Self.globalUnicast.contains(self) && !Self.specialVersion6.contains { $0.contains(self) }
  }

  private static let specialVersion4 = prefixes(
    "0.0.0.0/8",  // "this network": Linux connects to itself
    "10.0.0.0/8",  // private
    "100.64.0.0/10",  // shared by the customers of a carrier; a metadata service
    "127.0.0.0/8",  // loopback
    "168.63.129.16/32",  // a metadata service
    "169.254.0.0/16",  // link-local; metadata services
    "172.16.0.0/12",  // private
    "192.0.0.0/24",  // IETF protocol assignments
    "192.0.2.0/24",  // documentation
    "192.88.99.0/24",  // former 6to4 relays
    "192.168.0.0/16",  // private
    "198.18.0.0/15",  // benchmarks
    "198.51.100.0/24",  // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",  // multicast
    "240.0.0.0/4"  // reserved, and broadcast
  )

  private static let nat64 = prefix("64:ff9b::/96")

  /// All that is assigned for hosts. Outside are loopback, link-local, unique local, multicast, discarded and
  /// IPv4-compatible addresses, and the local NAT64.
  private static let globalUnicast = prefix("2000::/3")

  private static let specialVersion6 = prefixes(
    "2001::/23",  // IETF protocol assignments: Teredo, benchmarks, ORCHID
    "2001:db8::/32",  // documentation
    "2002::/16",  // 6to4
    "3fff::/20"  // documentation
  )

  private static func prefixes(_ texts: String...) -> [IPPrefix] { texts.map(prefix) }

  private static func prefix(_ text: String) -> IPPrefix {
    guard let prefix = IPPrefix(text) else { preconditionFailure("\(text) is not a prefix") }
    return prefix
  }
}
