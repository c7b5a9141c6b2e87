internal import EventLoop
internal import Observability

/// What one event loop has for itself: its thread, and its store.
struct Lane: Sendable {
  let loop: EventLoop
  let store: OpenStore

  /// Opens so many; when one fails, closes those that are open.
  static func open(_ count: Int, on database: Database, logger: Logger) async throws -> [Lane] {
    var lanes: [Lane] = []
    do {
      for index in 0..<count {
        let loop = try EventLoop(name: "loop-\(index)")
        do {
          lanes.append(
            try await loop.run { Lane(loop: loop, store: try database.store(on: loop, logger: logger)) })
        } catch {
          loop.stop()
          throw error
        }
      }
      return lanes
    } catch {
      await lanes.close()
      throw error
    }
  }
}

extension [Lane] {
  /// Closes the stores, and ends the threads.
  func close() async {
    for lane in self { await lane.store.close() }
    for lane in self { lane.loop.stop() }
  }
}
