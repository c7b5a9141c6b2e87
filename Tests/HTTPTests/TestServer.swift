import Dispatch
import Encoding
import EventLoop
import Foundation
import Glibc
import HTTP
import Synchronization
import TestSupport
import Testing

/// Answers with what it was asked; some paths do more.
final class Echo: Responder {
  private let gate: Gate
  private let numberCount = Atomic(0)

  init(gate: Gate) { self.gate = gate }

  func respond(to request: Request) async -> Response {
    switch request.path {
    case "/wait": await gate.wait()
    case "/wait-first":
      await gate.wait()
      await request.receiveContent()
    case "/large":
      let body = ByteBuffer()
      for _ in 0..<(5 * 1024 * 1024 / 16) { body.append("0123456789abcdef") }
      let response = Response(status: 200, contentType: "text/plain", body: body)
      response.party = request.query.flatMap { Int($0.dropFirst("party=".count)) }
      return response
    case "/page":
      let body = ByteBuffer()
      body.append(length: 20_000) { $0.update(repeating: UInt8(ascii: "p")) }
      return Response(
        status: 200, fields: [("X-Echo", request.value(of: "x-test") ?? "-")], contentType: "text/plain",
        body: body)
    case "/client":
      let body = ByteBuffer()
      body.append(utf8: request.client.description)
      return Response(status: 200, contentType: "text/plain", body: body)
    case "/number":
      // How many have asked for a number.
      let body = ByteBuffer()
      body.append(utf8: "number \(numberCount.add(1, ordering: .relaxed).newValue)")
      return Response(status: 200, contentType: "text/plain", body: body)
    case "/empty": return Response(status: 204)
    case "/forbidden": return Response(status: 403)
    default: await request.receiveContent()
    }
    let body = ByteBuffer()
    switch request.body {
    case .complete(let bytes):
      body.append(utf8: "\(request.method) \(request.target) \(bytes.count)")
      return Response(
        status: 200, fields: [("X-Echo", request.value(of: "x-test") ?? "-")], contentType: "text/plain",
        body: body)
    case .tooLarge:
      body.append(utf8: "tooLarge")
      return Response(status: 413, contentType: "text/plain", body: body)
    case .expected, .lost:
      body.append(utf8: "\(request.body)")
      return Response(status: 413, contentType: "text/plain", body: body)
    }
  }

  func refuse(_ refusal: Refusal, requestID: String) -> Response {
    let body = ByteBuffer()
    body.append(utf8: refusal.rawValue)
    return Response(status: refusal.status, contentType: "text/plain", body: body)
  }
}

/// Holds requests until it is opened, and tells how many it holds, and how many of them were cancelled.
final class Gate: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [CheckedContinuation<Void, Never>] = []
    var observers: [(count: Int, CheckedContinuation<Void, Never>)] = []
  }
  private let state = Mutex(State())
  private let cancellationCount = Atomic(0)

  /// Waits until it is opened, also where the task is cancelled.
  func wait() async {
    await withTaskCancellationHandler {
      await hold()
    } onCancel: {
      cancellationCount.add(1, ordering: .relaxed)
    }
  }

  /// Whether it holds any.
  var holds: Bool { state.withLock { !$0.waiting.isEmpty } }

  func untilCancelled(_ count: Int) async throws {
    try await TestSupport.wait { cancellationCount.load(ordering: .relaxed) >= count }
  }

  private func hold() async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let due = state.withLock { state -> [CheckedContinuation<Void, Never>] in
        if state.isOpen { return [continuation] }
        state.waiting.append(continuation)
        let due = state.observers.filter { $0.count <= state.waiting.count }.map(\.1)
        state.observers.removeAll { $0.count <= state.waiting.count }
        return due
      }
      for continuation in due { continuation.resume() }
    }
  }

  func untilHolding(_ count: Int) async {
    await withCheckedContinuation { continuation in
      let isDue = state.withLock { state in
        if state.waiting.count >= count { return true }
        state.observers.append((count, continuation))
        return false
      }
      if isDue { continuation.resume() }
    }
  }

  func open() {
    let waiting = state.withLock { state in
      state.isOpen = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}

/// A server on one loop and a free port.
struct TestServer: Sendable {
  let loop: EventLoop
  let http: HTTPServer
  let port: UInt16
  let gate: Gate

  var client: HTTPClient { HTTPClient(port: port) }

  func client(at address: String) -> HTTPClient { HTTPClient(host: address, port: port) }

  static func run(
    at listener: Listener? = nil, limits: HTTPLimits = HTTPLimits(), tls: TLSIdentity? = nil,
    trustedProxies: TrustedProxies = .none, _ body: @Sendable (TestServer) async throws -> Void
  ) async throws {
    let loop = try EventLoop(name: "http-test")
    let gate = Gate()
    let listener = try listener ?? Listener(host: "127.0.0.1", port: 0, count: 1, backlog: 128)
    let http = try await loop.run { () throws in
      try HTTPServer(
        on: loop, listening: listener.descriptors[0], tls: tls, limits: limits,
        trustedProxies: trustedProxies, responder: Echo(gate: gate))
    }
    let server = TestServer(loop: loop, http: http, port: listener.port, gate: gate)
    do {
      try await body(server)
    } catch {
      await server.stop()
      throw error
    }
    await server.stop()
  }

  private func stop() async {
    gate.open()
    await loop.run { await http.shutDown(timeoutMilliseconds: 5000) }
    loop.stop()
  }

  /// Keeps the loop from its work while the body runs: what clients do meanwhile, it finds all at once.
  func whileBusy<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
    let end = DispatchSemaphore(value: 0)
    loop.submit { end.wait() }
    defer { end.signal() }
    return try await body()
  }

  func untilAllAreClosed() async throws { try await wait { http.connectionCount == 0 } }

  /// Lends a connection to a thread that may block on it.
  func connect<Value: Sendable>(_ body: @escaping @Sendable (ClientSocket) throws -> Value) async throws
    -> Value
  {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result { try body(ClientSocket(port: port, deadline: Date(timeIntervalSinceNow: 30))) })
      }
    }
  }
}

extension ClientSocket {
  func write(_ text: String) { write(Array(text.utf8)) }

  /// Sends no more; what comes can still be read.
  func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Takes only little before it is read.
  func receiveLittle() {
    var bytes: Int32 = 4096
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
  }

  /// What the other side ended the connection with: nil for an end in order, else the error.
  func ending() -> Int32? {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, 0) < 0 ? errno : nil
  }

  /// All that comes until the other side closes.
  func readToEnd() throws -> String {
    var received: [UInt8] = []
    while case let piece = try read(), !piece.isEmpty { received += piece }
    return String(decoding: received, as: UTF8.self)
  }

  /// What comes until `text` is part of it, or the other side closes.
  func read(until text: String) throws -> String {
    var received = ""
    while !received.contains(text), case let piece = try read(), !piece.isEmpty {
      received += String(decoding: piece, as: UTF8.self)
    }
    return received
  }
}

extension String {
  func count(of text: String) -> Int { components(separatedBy: text).count - 1 }
}
