private import EventLoop
private import Glibc
private import HTTP

// Answers every request with the same bytes: the maximum that the HTTP room and the machine allow. Prints its port,
// and ends with its standard input.

/// A device, as `GET /api/v1/devices/{id}` shows it.
private let text: StaticString = """
  {"id":"00000000-0000-7000-8000-000000000001","client_id":"client-000001","device_name":"device 1",\
  "is_active":true,"revoked":false,"last_poll":null,"last_ack":null,"last_seen":null,\
  "created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z"}
  """

private struct ConstantResponder: Responder {
  func respond(to request: Request) async -> Response {
    let body = ByteBuffer(capacity: 512)
    body.append(text)
    return Response(status: 200, contentType: "application/json", body: body)
  }

  func refuse(_ refusal: Refusal, requestID: String) -> Response { Response(status: refusal.status) }
}

/// Starts a server on each of a number of loops. Returns the port.
private func serve(loops count: Int) async throws -> UInt16 {
  let limits = HTTPLimits()
  let listener = try Listener(host: "127.0.0.1", port: 0, count: count, backlog: limits.listenBacklog)
  for (index, descriptor) in listener.descriptors.enumerated() {
    let loop = try EventLoop(name: "loop-\(index)")
    let server = try await loop.run {
      try HTTPServer(on: loop, listening: descriptor, limits: limits, responder: ConstantResponder())
    }
    // Until the process ends.
    _ = Unmanaged.passRetained(server)
  }
  return listener.port
}

// The standard library's buffer would delay it.
let line = "\(try await serve(loops: ProcessSettings.processorCount))\n"
write(1, line, line.utf8.count)
while readLine() != nil {}
exit(0)
