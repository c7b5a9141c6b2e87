import EventLoop
import Registry

/// A store on a separate loop.
protocol RunningStore: Sendable {
  associatedtype Store: RegistryStore
  var loop: EventLoop { get }
  var store: Store { get }
}

extension RunningStore {
  /// Runs `body` on the store's loop.
  func run<Value: Sendable>(
    _ body: @escaping @Sendable (any RegistryStore) async throws -> Value
  ) async throws -> Value {
    try await loop.outcome { [store] in try await body(store) }.get()
  }

  /// The error that an operation throws, or nil.
  func error(
    _ body: @escaping @Sendable (any RegistryStore) async throws -> Void
  ) async -> RegistryError? {
    do { try await run(body) } catch { return error as? RegistryError }
    return nil
  }
}
