import Foundation

/// Runs blocking code on a separate thread, and waits for it without one: all tests together share as many threads
/// as the machine has processors, and a test that keeps one of them keeps it from all others.
public func onOwnThread<Value: Sendable, Failure: Error>(
  _ body: @escaping @Sendable () throws(Failure) -> Value
) async throws(Failure) -> Value {
  let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
    Thread.detachNewThread {
      let result: Result<Value, Failure>
      do throws(Failure) { result = .success(try body()) } catch { result = .failure(error) }
      continuation.resume(returning: result)
    }
  }
  return try result.get()
}
