import Foundation

/// A bound that a test holds a time to: as many times longer under a sanitizer as `TEST_SLOWNESS` says.
public func stretched<Bound: Numeric>(_ bound: Bound) -> Bound { bound * Bound(exactly: slowness)! }

private let slowness = ProcessInfo.processInfo.environment["TEST_SLOWNESS"].flatMap { Int($0) } ?? 1

/// Whether a sanitizer may be at work (`make test-asan`, `make test-tsan`), with the programs under test too.
public var isUnderSanitizer: Bool { slowness > 1 }
