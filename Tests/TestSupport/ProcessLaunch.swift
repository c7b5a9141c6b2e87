public import Foundation
import Synchronization

extension Process {
  /// Launches are one at a time: Foundation's own reads the process's table of descriptors while it may change.
  public func launchAlone() throws {
    try launches.withLock { _ in try run() }
  }
}

private let launches = Mutex(())
