internal import CLibuv
private import Glibc

extension EventLoop {
  /// The IP addresses of a host, as text, in the order in which the system would try them, up to a maximum.
  /// Call it on the loop; threads of libuv wait for the system's resolver, at most two at a time in a process.
  ///
  /// Throws the resolver's error. If the loop stops first, the task never resumes.
  public func addresses(ofHost host: String, maximum: Int) async throws(EventLoopError) -> [String] {
    assertCurrent()
    let result = await withUnsafeContinuation { continuation in
      lookUpsInProgress += 1
      let lookUp = AddressLookUp(host: host, maximum: maximum) { [self] outcome in
        lookUpsInProgress -= 1
        continuation.resume(returning: outcome)
      }
      lookUp.start(on: self)
    }
    return try result.get()
  }
}

/// One request to the resolver. It retains itself until libuv calls back.
private final class AddressLookUp {
  typealias Outcome = Result<[String], EventLoopError>

  private let host: String
  private let maximum: Int
  private let complete: (Outcome) -> Void
  private let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)

  init(host: String, maximum: Int, complete: @escaping (Outcome) -> Void) {
    self.host = host
    self.maximum = maximum
    self.complete = complete
  }

  deinit { request.deallocate() }

  func start(on loop: EventLoop) {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    request.pointee.data = Unmanaged.passRetained(self).toOpaque()
    let status = uv_getaddrinfo(
      loop.uvLoop, request,
      { request, status, list in
        let lookUp = Unmanaged<AddressLookUp>.fromOpaque(request!.pointee.data!).takeRetainedValue()
        lookUp.end(status, list)
        uv_freeaddrinfo(list)
      }, host, nil, &hints)
    guard status != 0 else { return }
    Unmanaged.passUnretained(self).release()
    end(status, nil)
  }

  private func end(_ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
    do throws(EventLoopError) {
      try EventLoopError.check(status)
      let entries = sequence(first: list) { $0?.pointee.ai_next }.prefix { $0 != nil }
      complete(.success(entries.prefix(maximum).compactMap { $0.flatMap(Self.text) }))
    } catch {
      complete(.failure(error))
    }
  }

  private static func text(_ info: UnsafeMutablePointer<addrinfo>) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
      let status = uv_ip_name(info.pointee.ai_addr, buffer.baseAddress, buffer.count)
      return status == 0 ? String(cString: buffer.baseAddress!) : nil
    }
  }
}
