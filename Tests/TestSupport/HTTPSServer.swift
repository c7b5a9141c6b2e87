import Foundation

/// A local HTTP server in Python, under a certificate that it makes for itself. The path says how it answers.
public final class HTTPSServer: Sendable {
  private let directory = TemporaryDirectory()
  private let server: Program
  /// Of HTTPS.
  public let port: Int
  /// Of plain HTTP.
  public let plainPort: Int

  /// The file with its certificate.
  public var certificate: String { "\(directory.path)/server.pem" }

  /// - Parameters:
  ///   - content: what it answers to every path without a meaning.
  ///   - host: the name in its certificate.
  public init(content: [UInt8], host: String = "localhost") async throws {
    let path = directory.path
    try Data(content).write(to: URL(fileURLWithPath: "\(path)/content"))
    try Self.program.write(toFile: "\(path)/server.py", atomically: true, encoding: .utf8)
    let made = try await Program.run(
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=\(host)", "-addext", "subjectAltName=DNS:\(host)", "-keyout", "\(path)/key.pem",
        "-out", "\(path)/server.pem",
      ], executable: "/usr/bin/openssl")
    guard made.status == 0 else { throw NotStarted(reason: made.errors) }
    server = try Program(
      ["python3", "\(path)/server.py"], ["PATH=/usr/local/bin:/usr/bin:/bin"], executable: "/usr/bin/env")
    let ports = await server.outputLine().split(separator: " ").compactMap { Int($0) }
    guard ports.count == 2 else { throw NotStarted(reason: "no ports") }
    (port, plainPort) = (ports[0], ports[1])
  }

  public struct NotStarted: Error {
    let reason: String
  }

  /// Waits until it has written a line: `waiting` for each request of `/slow`, `gone` when the client closes one.
  public func nextLine() async -> String { await server.outputLine() }

  private static let program = """
    import http.server, os, ssl, sys, threading
    os.chdir(os.path.dirname(sys.argv[0]))
    content = open("content", "rb").read()
    fields = {
      "/max-age": [("Cache-Control", "public"), ("Cache-Control", "max-age=77"), ("Age", "7")],
      "/expires": [("Date", "Tue, 01 Jan 2030 00:00:00 GMT"), ("Expires", "Tue, 01 Jan 2030 00:02:00 GMT")],
      "/expired": [("Expires", "0")],
      "/redirect": [("Location", "/keys")],
      "/large-header": [("X-Padding", "x" * 1000)] * 90,
    }
    bodies = {"/large": b" " * 300000, "/broken": b"<html>", "/withdrawn": b'{"keys": []}'}
    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = "HTTP/1.1"
      def send_response(self, code, message=None):
        self.send_response_only(code)
      def log_message(self, *arguments):
        pass
      def answer(self, body):
        self.send_response({"/redirect": 302, "/absent": 404}.get(self.path, 200))
        if self.path == "/kept":
          self.send_header("Content-Length", str(len(body)))
        else:
          self.close_connection = True
        for name, value in fields.get(self.path, []):
          self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
      def do_GET(self):
        if self.path == "/slow":
          print("waiting", flush=True)
          self.close_connection = True
          self.rfile.read(1)
          print("gone", flush=True)
          return
        if self.path == "/echo":
          return self.answer(str(self.headers).encode())
        self.answer(bodies.get(self.path, content))
      def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(str(self.headers).encode() + body)
    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.pem", "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    plain = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    print(server.server_port, plain.server_port, flush=True)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    server.serve_forever()
    """
}
