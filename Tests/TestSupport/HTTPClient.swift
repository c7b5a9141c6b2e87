import Foundation
import Glibc

/// Sends the given bytes of HTTP/1.1 over new sockets, so that tests can send what no proper client would. Each
/// exchange blocks a separate thread, and ends at a deadline.
public struct HTTPClient: Sendable {
  public let host: String
  public let port: UInt16
  public var deadlineSeconds: Double

  /// - Parameter host: an address of this machine.
  public init(host: String = "127.0.0.1", port: UInt16, deadlineSeconds: Double = 30) {
    self.host = host
    self.port = port
    self.deadlineSeconds = deadlineSeconds
  }

  /// Sends one request, with `Host` and, where there is a body, `Content-Length`, and closes the connection.
  public func send(
    _ method: String, _ target: String, fields: [(String, String)] = [], body: [UInt8]? = nil
  ) async throws -> HTTPAnswer {
    var head = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
    for (name, value) in fields { head += "\(name): \(value)\r\n" }
    if let body { head += "Content-Length: \(body.count)\r\n" }
    let answers = try await sendRaw(Array((head + "\r\n").utf8) + (body ?? []), methods: [method])
    return answers[0]
  }

  /// Sends bytes as they are, and reads the answers to as many requests as there are methods.
  public func sendRaw(_ bytes: [UInt8], methods: [String]) async throws -> [HTTPAnswer] {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try exchange(bytes, methods: methods) })
      }
    }
  }

  /// Sends requests one after another on one connection, each when the answer to the one before is there, and tells how
  /// long each took.
  public func sendInTurn(_ requests: [[UInt8]]) async throws -> [(answer: HTTPAnswer, duration: Duration)] {
    try await onOwnThread {
      let socket = try ClientSocket(to: host, port: port, deadline: Date(timeIntervalSinceNow: deadlineSeconds))
      return try requests.map { request in
        let start = ContinuousClock.now
        let answer = try exchange(request, on: socket)
        return (answer, ContinuousClock.now - start)
      }
    }
  }

  private func exchange(_ request: [UInt8], on socket: ClientSocket) throws -> HTTPAnswer {
    socket.write(request)
    var received: [UInt8] = []
    while true {
      let piece = try socket.read()
      received += piece
      if let (answer, _) = try HTTPAnswer.parse(received, isHead: false, isOver: piece.isEmpty) {
        return answer
      }
      guard !piece.isEmpty else { throw HTTPClientError("the connection ended before the answer") }
    }
  }

  private func exchange(_ bytes: [UInt8], methods: [String]) throws -> [HTTPAnswer] {
    let socket = try ClientSocket(to: host, port: port, deadline: Date(timeIntervalSinceNow: deadlineSeconds))
    socket.write(bytes)
    var received: [UInt8] = []
    var answers: [HTTPAnswer] = []
    var isOver = false
    while answers.count < methods.count {
      let method = methods[answers.count]
      if let (answer, length) = try HTTPAnswer.parse(received, isHead: method == "HEAD", isOver: isOver) {
        received.removeFirst(length)
        // An interim answer (RFC 9110, section 15.2) is none.
        if answer.status >= 200 { answers.append(answer) }
      } else if isOver {
        throw HTTPClientError("the connection ended after \(answers.count) of \(methods.count) answers")
      } else {
        let piece = try socket.read()
        isOver = piece.isEmpty
        received += piece
      }
    }
    return answers
  }
}

public struct HTTPClientError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
