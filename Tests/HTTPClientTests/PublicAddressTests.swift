import Encoding
import HTTPClient
import Testing

@Suite("Public addresses")
struct PublicAddressTests {
  @Test(arguments: [
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2000::1", "2001:200::1", "2001:db7::1", "2001:db9::1", "2003::1", "2606:4700:4700::1111", "3ffe::1",
    "::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
  ])
  func `are those that the registries call globally reachable`(text: String) throws {
    #expect(try #require(IPAddress(text)).isPublic)
  }

  @Test(arguments: [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
    "127.255.255.255", "169.254.0.0", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0",
    "192.0.0.255",
    "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.255",
    "::", "::1", "::2", "100::1", "2001::1", "2001:1ff:ffff::1", "2001:db8::1", "2001:db8:ffff::1", "3fff::1",
    "3fff:fff::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ffff::1",
  ])
  func `are none with a special purpose`(text: String) throws {
    #expect(!(try #require(IPAddress(text)).isPublic))
  }

  @Test(arguments: [
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254",
  ])
  func `are no metadata service of a cloud`(text: String) throws {
    #expect(!(try #require(IPAddress(text)).isPublic))
  }

  @Test(arguments: ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.1.1", "0.0.0.0"])
  func `are no private IPv4 address in any form of IPv6`(text: String) throws {
    let address = try #require(IPAddress(text))
    let low = UInt32(truncatingIfNeeded: address.low)
    let (first, second) = (String(low >> 16, radix: 16), String(low & 0xFFFF, radix: 16))
    let forms = [
      "::ffff:\(text)", "::ffff:\(first):\(second)", "::\(text)", "64:ff9b::\(text)", "64:ff9b:1::\(text)",
      "2002:\(first):\(second)::1", "2001:0:\(first):\(second)::1", "2001:0:101:101::\(text)",
    ]
    for form in forms {
      let wrapped = try #require(IPAddress(form))
      #expect(!wrapped.isPublic, "\(form)")
    }
  }
}
