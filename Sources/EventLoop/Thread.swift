internal import CLibuv
internal import Glibc

/// A system thread. Its owner must join or detach it exactly once.
final class Thread: Sendable {
  private let thread: pthread_t

  private final class Start {
    let name: String
    let body: () -> Void
    init(name: String, body: @escaping () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Runs `body` on a new thread. The system shows the first 15 bytes of the name.
  init(name: String, body: @escaping @Sendable () -> Void) throws(EventLoopError) {
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    let status = pthread_create(
      &thread, nil,
      { argument in
        let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
        set_thread_name(start.name)
        start.body()
        return nil
      }, start.toOpaque())
    guard status == 0 else {
      start.release()
      throw EventLoopError(description: "no thread: \(String(cString: strerror(status)))")
    }
    self.thread = thread
  }

  func join() { pthread_join(thread, nil) }

  /// The system frees the thread when it ends.
  func detach() { pthread_detach(thread) }
}
