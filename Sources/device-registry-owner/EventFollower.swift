import Commands
import DeviceRegistryClient
import Dispatch
import Foundation
import Glibc

extension OwnerSession {
  func followEvents() async throws {
    let deviceID: String? = if let name = arguments[.eventsOfDevice] { try await id(of: name) } else { nil }
    try await EventFollower(
      owner: owner, startsAtOldest: arguments.has(.fromStart), cursor: arguments[.after],
      cursorFile: arguments[.cursorFile].map(CursorFile.init),
      types: arguments[.types]?.split(separator: ",", omittingEmptySubsequences: false).map(String.init),
      deviceID: deviceID, printsJSON: arguments[.eventOutput] == "json"
    ).run()
  }
}

/// Prints an owner's events until a signal ends it.
struct EventFollower {
  let owner: OwnerClient
  /// Whether to begin with the oldest event if there is no cursor; otherwise with what happens from now on.
  let startsAtOldest: Bool
  let cursor: String?
  let cursorFile: CursorFile?
  let types: [String]?
  let deviceID: String?
  let printsJSON: Bool

  /// Returns when SIGINT or SIGTERM ends it.
  func run() async throws {
    let stored = try cursorFile?.read()
    let start = stored ?? cursor ?? (startsAtOldest ? nil : OwnerClient.now)
    let pages = owner.eventPages(after: start, types: types, deviceID: deviceID) { error in
      Terminal.say("trying again: \(error)")
    }
    if start == OwnerClient.now { Terminal.say("printing what happens from now on; Ctrl-C ends") }
    // Before the first line is printed: its reader may send a signal at once.
    let signals = EndSignals()
    defer { signals.close() }
    let following = Task { try await follow(pages, after: start) }
    signals.onFirst { following.cancel() }
    try await following.value
  }

  private func follow(_ pages: EventPages, after start: String?) async throws {
    var next = start
    do {
      for try await page in pages {
        for event in page.events {
          if printsJSON { try Terminal.print(event.json) } else { try Terminal.printFields(fields(of: event)) }
        }
        guard page.next != next else { continue }
        try cursorFile?.write(page.next)
        next = page.next
      }
    } catch {
      if let next, next != OwnerClient.now { Terminal.say("to continue here: --after \(next)") }
      switch error as? RegistryClientError {
      case .cancelled?: return
      case .cursorExpired(let problem)?: throw Failure("\(problem)\(advice)")
      default: throw error
      }
    }
  }

  /// What to do about an expired cursor.
  private var advice: String {
    let file = cursorFile.map { "; remove \($0.path)" } ?? ""
    return "\(file); then begin with --from-start, or without --after for what happens from now on"
  }

  private func fields(of event: RegistryEvent) -> [String] {
    let actor = [event.actor.kind, event.actor.id].compactMap(\.self).joined(separator: " ")
    let changes = (event.changes ?? [:]).sorted { $0.key < $1.key }.map { name, change in
      "\(name): \(change.old?.description ?? "none") -> \(change.new?.description ?? "none")"
    }
    let details = [event.signalID.map { "signal \($0)" }, event.reason.map { "reason: \($0)" }].compactMap(
      \.self)
    return [
      time(of: event), event.type, event.deviceID ?? "-", actor, (changes + details).joined(separator: "; "),
    ]
  }

  /// As the registry wrote it: a formatter could round it otherwise.
  private func time(of event: RegistryEvent) -> String {
    struct Time: Decodable { let at: String }
    return (try? JSONDecoder().decode(Time.self, from: event.json))?.at ?? "-"
  }
}

/// A file with the cursor to continue at.
struct CursorFile {
  let path: String

  init(_ path: String) { self.path = path }

  /// Bytes that are read; a cursor is shorter.
  private static let maximumLength = 1024

  /// Nil if there is no file. Throws `invalidArgument` if it cannot be read, or has no cursor.
  func read() throws(RegistryClientError) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { return nil }
    guard descriptor >= 0 else { throw unreadable(String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: Self.maximumLength)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    guard count >= 0 else { throw unreadable(String(cString: strerror(errno))) }
    let words = String(decoding: buffer[..<count], as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count == 1, count < buffer.count else {
      throw unreadable("it has no cursor; remove it, or name another file")
    }
    return String(words[0])
  }

  private func unreadable(_ cause: String) -> RegistryClientError {
    .invalidArgument(name: "--cursor-file", message: "\(path) cannot be read: \(cause)")
  }

  /// Replaces the file as a whole: a reader sees the old or the new cursor.
  func write(_ cursor: String) throws(Failure) {
    let new = path + ".new"
    let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    let isWritten = descriptor >= 0 && Terminal.write(Array("\(cursor)\n".utf8), to: descriptor)
    let cause = errno
    if descriptor >= 0 { close(descriptor) }
    guard isWritten else { throw Failure("cannot write \(new): \(String(cString: strerror(cause)))") }
    guard rename(new, path) == 0 else {
      throw Failure("cannot write \(path): \(String(cString: strerror(errno)))")
    }
  }
}

/// SIGINT and SIGTERM. A second one ends the process at once.
///
/// `@unchecked Sendable`: `count` and `end` are used only on the queue.
private final class EndSignals: @unchecked Sendable {
  private let queue = DispatchQueue(label: "signals")
  private var sources: [any DispatchSourceSignal] = []
  private var count = 0
  private var end: (@Sendable () -> Void)?

  /// Returns when signals are received.
  init() {
    let registered = DispatchGroup()
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { [unowned self] in
        count += 1
        if count > 1 { _exit(128 + number) }
        end?()
      }
      registered.enter()
      source.setRegistrationHandler { registered.leave() }
      source.resume()
      return source
    }
    registered.wait()
  }

  /// Calls the function when the first signal arrives, or now if it arrived before.
  func onFirst(_ end: @escaping @Sendable () -> Void) {
    queue.async { [self] in
      self.end = end
      if count > 0 { end() }
    }
  }

  func close() { for source in sources { source.cancel() } }
}
