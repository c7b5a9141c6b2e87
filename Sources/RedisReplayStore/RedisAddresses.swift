private import Glibc

/// The look-up of a host's name, which blocks: hiredis would do it on the event loop.
enum RedisAddresses {
  /// The host's IP addresses as text, in the order in which the system wants them tried. Not for an event loop.
  static func lookUp(_ host: String) -> Result<[String], RedisFailure> {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, nil, &hints, &list)
    guard status == 0 else {
      return .failure(RedisFailure("no address of the host: \(String(cString: gai_strerror(status)))"))
    }
    defer { freeaddrinfo(list) }

    var addresses: [String] = []
    var entry = list
    while let info = entry?.pointee, addresses.count < RedisLimits.addresses {
      if let text = numeric(info) { addresses.append(text) }
      entry = info.ai_next
    }
    return addresses.isEmpty ? .failure(RedisFailure("no address of the host")) : .success(addresses)
  }

  private static func numeric(_ info: addrinfo) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { buffer in
      let status = getnameinfo(
        info.ai_addr, info.ai_addrlen, buffer.baseAddress, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
      return status == 0 ? String(cString: buffer.baseAddress!) : nil
    }
  }
}
