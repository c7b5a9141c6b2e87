private import Glibc

/// The time of a monotonic clock, for deadlines. Any thread may call.
public enum MonotonicClock {
  public static var milliseconds: Int64 { nanoseconds / 1_000_000 }

  public static var nanoseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
