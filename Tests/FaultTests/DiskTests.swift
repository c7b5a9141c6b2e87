import Foundation
import Glibc
import TestSupport
import Testing

@Suite("A disk that takes no more", .timeLimit(.minutes(5))) struct DiskTests {
  @Test
  func `because files may not grow: writes get 503, reads continue, and it recovers`() async throws {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      let service = try Service(on: "sqlite:\(directory.path)/registry.db", logIn: directory)
      // The write-ahead log is beyond the limit by then, and the log of the service is not.
      try await outage(of: service, cause: "SQLite 778 disk I/O error") {
        try service.process.limit("fsize", to: "65536")
      } end: {
        try service.process.limit("fsize", to: "unlimited")
      }
    }
  }

  @Test(.enabled(if: FullDisk.isPossible))
  func `because it is full: writes get 503, reads continue, and it recovers`() async throws {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      let disk = try FullDisk(in: directory)
      let service = try Service(
        on: "sqlite:\(disk.mountPoint)/registry.db", logIn: directory, through: disk.command)
      try await outage(of: service, cause: "SQLite 13 database or disk is full") {
        try disk.order("fill")
      } end: {
        try disk.order("empty")
      }
    }
  }

  @Test(.enabled(if: canFreezeFiles))
  func `because the file became read-only: writes get 503, reads continue, and it recovers`() async throws {
    let directory = TemporaryDirectory()
    try await BlockingThreads.run {
      let service = try Service(on: "sqlite:\(directory.path)/registry.db", logIn: directory)
      let files = ["registry.db", "registry.db-wal"].map { "\(directory.path)/\($0)" }
      defer { _ = Self.freeze(files, "-i") }
      try await outage(of: service, cause: "SQLite 778 disk I/O error") {
        guard Self.freeze(files, "+i") else { throw Unmet("not frozen") }
      } end: {
        guard Self.freeze(files, "-i") else { throw Unmet("not thawed") }
      }
    }
  }

  /// Writes are refused between `begin` and `end`, with a reason in the log, and done before and after.
  private func outage(
    of service: Service, cause: String, begin: () throws -> Void, end: () throws -> Void
  ) async throws {
    let owner = try await service.newOwner()
    for number in 1...40 { _ = try await service.newDevice(of: owner, "device \(number)") }
    try begin()
    // Room that was there already may take one or another.
    var number = 40
    try await wait(for: "a refusal") {
      number += 1
      let answer = try await service.ask(
        "POST", "/api/v1/devices", token: owner, json: ["device_name": "device \(number)"])
      guard answer.status != 201 else { return false }
      #expect(answer.status == 503 && answer.value(of: "retry-after") != nil, "\(answer.text)")
      #expect(!answer.text.contains("SQLite"))
      return true
    }
    let stored = number - 1
    for name in ["a", "b"] {
      let answer = try await service.ask(
        "POST", "/api/v1/devices", token: owner, json: ["device_name": name])
      #expect(answer.status == 503)
    }
    try wait(for: "\(cause) in the log") { service.log.contains(cause) }
    #expect(try await service.status("GET", "/healthz") == 200)
    #expect(try await service.demand(200, "GET", "/api/v1/devices", token: owner).array().count == stored)
    try end()
    _ = try await service.newDevice(of: owner, "device after")
    let names = try await service.demand(200, "GET", "/api/v1/devices", token: owner).array()
      .map { $0["device_name"] as! String }
    #expect(names.count == stored + 1 && names.last == "device after")
    #expect(try service.stop() == 0)
  }

  // MARK: Files that nobody may change

  private static let canFreezeFiles: Bool = {
    let directory = TemporaryDirectory()
    let path = "\(directory.path)/file"
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    guard freeze([path], "+i") else { return false }
    defer { _ = freeze([path], "-i") }
    // Some file systems mind only who opens the file.
    return write(descriptor, "x", 1) == -1
  }()

  private static func freeze(_ paths: [String], _ mode: String) -> Bool {
    (try? run(["/usr/bin/chattr", mode] + paths)) == 0
  }
}

/// A file system of 4 MiB in memory, which only the service sees that is started through `command`, and a helper beside
/// it that fills and empties it.
private struct FullDisk {
  let mountPoint: String
  let command: [String]
  private let orders: FileHandle
  private let answers: FileHandle

  init(in directory: TemporaryDirectory) throws {
    mountPoint = "\(directory.path)/disk"
    try FileManager.default.createDirectory(atPath: mountPoint, withIntermediateDirectories: false)
    let (orders, answers) = ("\(directory.path)/orders", "\(directory.path)/answers")
    guard mkfifo(orders, 0o600) == 0, mkfifo(answers, 0o600) == 0 else { throw Unmet("no pipes") }
    command = Self.isolated + ["/bin/sh", "-c", Self.script, mountPoint, orders, answers]
    // Opened for both, so that opening waits for nobody.
    func open(_ path: String) -> FileHandle {
      FileHandle(
        fileDescriptor: Glibc.open(path, O_RDWR | O_CLOEXEC), closeOnDealloc: true)
    }
    self.orders = open(orders)
    self.answers = open(answers)
  }

  func order(_ order: String) throws {
    orders.write(Data("\(order)\n".utf8))
    let answer = answers.readData(ofLength: 3)
    guard answer == Data("ok\n".utf8) else { throw Unmet("not done: \(order)") }
  }

  static let isPossible: Bool = {
    let mounts = ["/bin/sh", "-c", "mount -t tmpfs tmpfs /mnt && unshare --help >/dev/null"]
    return (try? run(isolated + mounts)) == 0
  }()

  private static var isolated: [String] {
    ["/usr/bin/unshare"] + (getuid() == 0 ? [] : ["--map-root-user"]) + ["--mount"]
  }

  private static let script = """
    mount -t tmpfs -o size=4m tmpfs "$0" || exit 1
    orders=$1 answers=$2
    shift 2
    parent=$$
    {
      # Ends when nobody is left who could order.
      while read -r order; do
        case $order in
          fill) dd if=/dev/zero of="$0/ballast" bs=4096; echo ok >"$answers" ;;
          empty) rm "$0/ballast"; echo ok >"$answers" ;;
        esac
      done <"$orders" >/dev/null 2>&1
    } &
    exec "$@"
    """
}
