private import Crypto
private import Foundation
private import Synchronization

/// argon2id alone, at the default cost of the service.
enum Hashing {
  private static let argon2id = (memoryKiB: 19_456, iterations: 2)

  /// Hashes per second on a number of threads.
  static func rate(seconds: Int, threads: Int) throws -> Double {
    let argon2id = try Argon2id(memoryKiB: argon2id.memoryKiB, iterations: argon2id.iterations)
    let start = Date()
    let end = start.addingTimeInterval(Double(seconds))
    let count = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: threads) { _ in
      while Date() < end {
        _ = try? hash("bench", argon2id)
        count.add(1, ordering: .relaxed)
      }
    }
    return Double(count.load(ordering: .relaxed)) / -start.timeIntervalSinceNow
  }

  static func hashes(of secret: String, count: Int) throws -> [String] {
    let argon2id = try Argon2id(memoryKiB: argon2id.memoryKiB, iterations: argon2id.iterations)
    return try (0..<count).map { _ in try hash(secret, argon2id) }
  }

  private static func hash(_ secret: String, _ argon2id: Argon2id) throws -> String {
    let characters = Array(secret.utf8)
    // The failure's type does not pass through the closure.
    let result = characters.withUnsafeBufferPointer { buffer -> Result<String, Argon2idError> in
      do throws(Argon2idError) { return .success(try argon2id.hash(buffer)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}
