internal import Crypto
internal import EventLoop
internal import Observability
internal import Registry
private import Synchronization

/// Tells a `ReplayMemory` since when its nonces are complete, each time that this process acquires or loses the lock on the
/// database. On an orderly stop it leaves the nonces to the next process.
final class ReplayTerms: ClosableService {
  let memory: ReplayMemory
  /// Nil if there is no folder for it.
  private let file: NonceFile?
  private let marginMilliseconds: Int64
  private let clock: any Clock
  private let logger: Logger
  private let interruptions: Interruptions
  private let state: Mutex<State>

  private struct State {
    var isHeld = false
    /// The last term of this process, or that of the process whose nonces it has.
    var term: String?
    /// Since when the nonces of that term are complete, in milliseconds since 1970.
    var heldSince = Int64.max
    var isClosed = false
  }

  /// Reads the nonces that an earlier process left. Blocks.
  ///
  /// - Parameter margin: how long, in milliseconds, a process that lost the lock may not have noticed that.
  init(
    _ configuration: Configuration, margin marginMilliseconds: Int64, clock: any Clock, logger: Logger,
    interruptions: Interruptions
  ) {
    file = configuration.nonceFile.map(NonceFile.init)
    (self.marginMilliseconds, self.clock, self.logger) = (marginMilliseconds, clock, logger)
    self.interruptions = interruptions
    var snapshot: ReplaySnapshot?
    do throws(NonceFile.FileError) {
      snapshot = try file?.take()
    } catch {
      logger.log(.warning, "nonces not taken over", ["cause": error.description])
    }
    memory = ReplayMemory(
      clock: clock, hash: NonceSipHash(key: snapshot?.key), skewSeconds: configuration.signatureSkewSeconds,
      maximumNonces: configuration.maximumReplayNonces)
    var state = State()
    if let snapshot, memory.restore(snapshot) {
      (state.term, state.heldSince) = (snapshot.term, snapshot.heldSince)
    }
    self.state = Mutex(state)
  }

  /// The lock was acquired or lost.
  func changed(_ lock: ServingLock) {
    switch lock {
    case .lost:
      memory.loseHold()
      let isClosed = state.withLock { state in
        state.isHeld = false
        return state.isClosed
      }
      if !isClosed { interruptions.warn("lock on the database lost: signed requests are refused") }
    case .acquired(let term, let previous):
      let (since, isContinued) = state.withLock { state in
        let isContinued = state.term == previous
        // Another process may have accepted nonces that are not here.
        if !isContinued { state.heldSince = (clock.now() + marginMilliseconds).millisecondsSince1970 }
        (state.isHeld, state.term) = (true, term)
        return (state.heldSince, isContinued)
      }
      memory.hold(since: since == .min ? nil : Timestamp(millisecondsSince1970: since))
      if isContinued { logger.log(.info, "nonces complete", ["nonces": String(memory.count)]) }
    }
  }

  /// No device exists that could have signed a request before.
  func beginWithoutDevices() {
    state.withLock { $0.heldSince = .min }
    memory.hold(since: nil)
  }

  /// Called when no request is processed any more, and the lock is still held. Leaves the nonces to the next process.
  func close() async {
    let (term, since) = state.withLock { state in
      state.isClosed = true
      return (state.isHeld ? state.term : nil, state.heldSince)
    }
    memory.loseHold()
    guard let file, let term else { return }
    var snapshot = memory.snapshot()
    (snapshot.term, snapshot.heldSince) = (term, since)
    do throws(NonceFile.FileError) {
      try file.write(snapshot)
      logger.log(.info, "nonces left for the next start", ["nonces": String(snapshot.count)])
    } catch {
      logger.log(.warning, "nonces not left for the next start", ["cause": error.description])
    }
  }
}

private struct NonceSipHash: NonceHash {
  private let hash: SipHash
  var key: [UInt8] { hash.key }

  /// - Parameter key: a random one if it is nil or has another length.
  init(key: [UInt8]?) {
    var bytes = [UInt8](repeating: 0, count: SipHash.keyLength)
    bytes.withUnsafeMutableBytes { SystemRandom.fill($0) }
    hash = SipHash(key: key.flatMap { $0.count == SipHash.keyLength ? $0 : nil } ?? bytes)
  }

  func callAsFunction(_ message: UnsafeRawBufferPointer) -> UInt64 { hash(message) }
}
