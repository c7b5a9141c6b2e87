internal import CLibuv
private import Glibc

/// A timer of a loop. Used on the loop only; its owner closes it.
public final class Timer {
  private let handle: UnsafeMutablePointer<uv_timer_t>
  private var handler: (() -> Void)?
  private var isClosed = false

  public init(on loop: EventLoop) {
    loop.assertCurrent()
    handle = .allocate(capacity: 1)
    uv_timer_init(loop.uvLoop, handle)
    handle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit { precondition(isClosed, "a timer must be closed before it goes") }

  /// Calls `handler` after that time, or periodically if `repeatMilliseconds` is not 0. Replaces the setting.
  public func start(afterMilliseconds: Int, repeatMilliseconds: Int = 0, _ handler: @escaping () -> Void) {
    precondition(!isClosed)
    self.handler = handler
    uv_update_time(handle.pointee.loop)
    uv_timer_start(
      handle,
      { Unmanaged<Timer>.fromOpaque($0!.pointee.data!).takeUnretainedValue().handler?() },
      UInt64(max(0, afterMilliseconds)), UInt64(max(0, repeatMilliseconds)))
  }

  /// Whether the handler will be called.
  public var isActive: Bool {
    !isClosed && handle.withMemoryRebound(to: uv_handle_t.self, capacity: 1) { uv_is_active($0) != 0 }
  }

  public func stop() {
    if !isClosed { uv_timer_stop(handle) }
    handler = nil
  }

  /// Calls the handler now instead of later, if it would be called, and stops the timer.
  func fire() {
    let handler = handler
    stop()
    handler?()
  }

  public func close() {
    guard !isClosed else { return }
    isClosed = true
    handler = nil
    closeAndFree(handle)
  }
}

/// Reports when a file descriptor is ready. Used on the loop only; its owner closes it before the descriptor.
public final class DescriptorWatch {
  /// Events to wait for, or that occurred.
  public struct Readiness: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let readable = Readiness(rawValue: Int32(UV_READABLE.rawValue))
    public static let writable = Readiness(rawValue: Int32(UV_WRITABLE.rawValue))
    /// The peer of a stream socket sends no more. Without `readable`, earlier data may still be unread.
    public static let disconnected = Readiness(rawValue: Int32(UV_DISCONNECT.rawValue))
  }

  private let handle: UnsafeMutablePointer<uv_poll_t>
  private var handler: ((Readiness) -> Void)?
  private var interest: Readiness = []
  private var isClosed = false

  /// Throws when the descriptor cannot be polled.
  public init(_ descriptor: Int32, on loop: EventLoop) throws(EventLoopError) {
    loop.assertCurrent()
    handle = .allocate(capacity: 1)
    let status = uv_poll_init(loop.uvLoop, handle, descriptor)
    guard status == 0 else {
      handle.deallocate()
      isClosed = true
      try EventLoopError.check(status)
      return
    }
    handle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit { precondition(isClosed, "a watch must be closed before it goes") }

  /// Waits for `interest`, and calls `handler` each time one of its events occurs. An error of the descriptor
  /// reports all of `interest`: the next call on the descriptor returns the error. It also stops the waiting
  /// until the next `change`.
  public func start(for interest: Readiness, _ handler: @escaping (Readiness) -> Void) {
    precondition(!isClosed)
    self.handler = handler
    self.interest = interest
    poll()
  }

  /// Changes the events to wait for; none stops the handler's calls. Makes a system call only if they differ.
  public func change(to interest: Readiness) {
    guard !isClosed, interest != self.interest else { return }
    self.interest = interest
    poll()
  }

  public func close() {
    guard !isClosed else { return }
    isClosed = true
    handler = nil
    closeAndFree(handle)
  }

  private func poll() {
    uv_poll_start(handle, interest.rawValue) { handle, status, events in
      let watch = Unmanaged<DescriptorWatch>.fromOpaque(handle!.pointee.data!).takeUnretainedValue()
      guard status < 0 else {
        watch.handler?(Readiness(rawValue: events).intersection(watch.interest))
        return
      }
      // libuv has already stopped the handle.
      let interest = watch.interest
      watch.interest = []
      watch.handler?(interest)
    }
  }
}

/// Calls a handler when the process receives a signal. Used on the loop only; its owner closes it.
public final class SignalWatch {
  private let handle: UnsafeMutablePointer<uv_signal_t>
  private let handler: () -> Void
  private var isClosed = false

  public init(_ signal: Int32, on loop: EventLoop, handler: @escaping () -> Void) {
    loop.assertCurrent()
    handle = .allocate(capacity: 1)
    self.handler = handler
    uv_signal_init(loop.uvLoop, handle)
    handle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    uv_signal_start(
      handle,
      { handle, _ in Unmanaged<SignalWatch>.fromOpaque(handle!.pointee.data!).takeUnretainedValue().handler() },
      signal)
  }

  deinit { precondition(isClosed, "a watch must be closed before it goes") }

  public func close() {
    guard !isClosed else { return }
    isClosed = true
    closeAndFree(handle)
  }
}

/// libuv owns a handle's memory until its close callback, one pass later.
private func closeAndFree<Handle>(_ handle: UnsafeMutablePointer<Handle>) {
  handle.withMemoryRebound(to: uv_handle_t.self, capacity: 1) {
    guard uv_is_closing($0) == 0 else { return }
    uv_close($0) { free($0) }
  }
}
