import Crypto
import Foundation
import Glibc
import RequestSignature
import Synchronization
import TestSupport

/// Plays the registry's part on a real socket: checks signatures, refuses nonces that it has seen, and answers as its
/// script says, step by step.
final class StandInRegistry: Sendable {
  struct Received: Sendable {
    let method: String
    let target: String
    /// By name in lower case.
    let fields: [String: String]
    let body: [UInt8]

    func view(authority: String) -> RequestView {
      RequestView(method: method, target: target, scheme: "http", authority: authority, body: body) {
        [fields] name in
        fields[name].map { [$0] } ?? []
      }
    }
  }

  struct Reply: Sendable {
    var status = 200
    var fields: [(String, String)] = []
    var body: [UInt8] = []
  }

  enum Reaction: Sendable {
    case reply(Reply)
    /// Closes the connection without an answer.
    case close
    /// Never answers.
    case silence
  }

  typealias Script = @Sendable (Received, _ number: Int) -> Reaction

  private let listener: Int32
  let port: UInt16
  private let script: Script
  private let requests = Mutex<[Received]>([])
  private let connections = Mutex(0)
  /// Every request as it arrives.
  let arrivals: AsyncStream<Received>
  private let arrived: AsyncStream<Received>.Continuation

  /// What a stalled peer may take of a test.
  private static let socketTimeoutSeconds = 30

  init(_ script: @escaping Script) {
    self.script = script
    (arrivals, arrived) = AsyncStream.makeStream()
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(listener, pointer, length) == 0 && listen(listener, 64) == 0
          && getsockname(listener, pointer, &length) == 0
      }
    }
    self.listener = listener
    precondition(bound, "no port to listen on: errno \(errno)")
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [weak self] in
      while true {
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else {
          // Closed here alone: a number that is closed elsewhere may be another stand-in's by the next call.
          close(listener)
          return
        }
        self?.connections.withLock { $0 += 1 }
        Thread.detachNewThread { [weak self] in
          Self.serve(connection) { self?.react(to: $0) ?? .close }
          close(connection)
        }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    arrived.finish()
  }

  var url: String { "http://127.0.0.1:\(port)" }
  var authority: String { "127.0.0.1:\(port)" }
  /// What has arrived.
  var received: [Received] { requests.withLock { $0 } }

  /// Connections that were made, open or closed.
  var connectionCount: Int { connections.withLock { $0 } }

  private func react(to request: Received) -> Reaction {
    let number = requests.withLock { requests in
      requests.append(request)
      return requests.count - 1
    }
    arrived.yield(request)
    return script(request, number)
  }

  private static func serve(_ connection: Int32, _ react: (Received) -> Reaction) {
    var timeout = timeval(tv_sec: socketTimeoutSeconds, tv_usec: 0)
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var pending: [UInt8] = []
    while let request = read(connection, &pending) {
      switch react(request) {
      case .close: return
      case .silence:
        // Until the peer goes.
        _ = read(connection, &pending)
        return
      case .reply(let reply):
        var head = "HTTP/1.1 \(reply.status) Status\r\nContent-Length: \(reply.body.count)\r\n"
        for (name, value) in reply.fields { head += "\(name): \(value)\r\n" }
        let bytes = Array((head + "\r\n").utf8) + reply.body
        var sent = 0
        while sent < bytes.count {
          let count = bytes[sent...].withUnsafeBytes {
            send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
          }
          guard count > 0 else { return }
          sent += count
        }
      }
    }
  }

  /// Reads one request; nil once the peer closed.
  private static func read(_ connection: Int32, _ pending: inout [UInt8]) -> Received? {
    let separator = Array("\r\n\r\n".utf8)
    while true {
      if let end = pending.indices.first(where: { pending[$0...].starts(with: separator) }) {
        let lines = String(decoding: pending[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ").map(String.init)
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
          let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
          fields[parts[0].lowercased()] = parts.count > 1 ? parts[1] : ""
        }
        let start = end + separator.count
        let length = fields["content-length"].flatMap { Int($0) } ?? 0
        if pending.count >= start + length {
          let body = Array(pending[start..<start + length])
          pending.removeFirst(start + length)
          return Received(method: words[0], target: words[1], fields: fields, body: body)
        }
      }
      var buffer = [UInt8](repeating: 0, count: 64 * 1024)
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return nil }
      pending += buffer[..<count]
    }
  }
}

extension StandInRegistry.Reply {
  static func json(_ text: String, status: Int = 200, fields: [(String, String)] = []) -> Self {
    Self(status: status, fields: [("Content-Type", "application/json")] + fields, body: Array(text.utf8))
  }

  static func problem(_ status: Int, _ kind: String, members: String = "", fields: [(String, String)] = [])
    -> Self
  {
    let type = "https://device-registry.example/problems/\(kind)"
    let text =
      #"{"type":"\#(type)","title":"A title","status":\#(status),"detail":"What to do.","request_id":"r-1"\#(members)}"#
    return Self(
      status: status,
      fields: [("Content-Type", "application/problem+json"), ("WWW-Authenticate", "Bearer")] + fields,
      body: Array(text.utf8))
  }
}
