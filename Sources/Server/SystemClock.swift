internal import Crypto
internal import Glibc
public import Registry

/// The system's clock.
public struct SystemClock: Clock {
  public init() {}

  public func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(millisecondsSince1970: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }
}

/// The system's generator of random bytes.
struct SystemRandomSource: RandomSource {
  func fill(_ buffer: UnsafeMutableRawBufferPointer) { SystemRandom.fill(buffer) }
}
