import Foundation

/// A real nginx on a socket in a temporary folder, which forwards requests to a port of this machine.
///
/// A shell supervises it and reads from a pipe. The pipe ends when this process does, crashed or not: then the shell stops
/// nginx.
public final class Nginx: Sendable {
  private let directory: TemporaryDirectory
  private let supervisor: SupervisingShell

  private var socket: String { "\(directory.path)/socket" }

  /// - Parameters:
  ///   - upstream: the block `upstream`, as lines of nginx.
  ///   - server: the lines of the block `server`.
  private init(upstream: String, server: String) async throws {
    directory = TemporaryDirectory()
    let path = directory.path
    try Self.configuration(path, upstream, server)
      .write(toFile: "\(path)/nginx.conf", atomically: true, encoding: .utf8)
    supervisor = SupervisingShell(["/bin/sh", "-c", Self.script, path])
    let answer = await supervisor.readLine()
    guard answer == "ready" else { throw NotStarted(reason: answer) }
  }

  public struct NotStarted: Error {
    let reason: String
  }

  /// Lends an nginx, and ends it.
  public static func with(
    handingOnTo port: UInt16, settings: String, _ body: (Nginx) async throws -> Void
  ) async throws {
    let server = """
      location / {
        proxy_pass http://service;
        proxy_set_header Host $host;
        proxy_read_timeout 60s;
        # What the service does is not to be hidden by a second attempt.
        proxy_next_upstream off;
        \(settings)
      }
      """
    try await with(
      upstream: "upstream service { server 127.0.0.1:\(port); keepalive 4; }", server: server, body)
  }

  /// The same with another `upstream`, and with the lines of `server`, which may also listen elsewhere.
  public static func with(
    upstream: String, server: String, _ body: (Nginx) async throws -> Void
  ) async throws {
    let nginx = try await Nginx(upstream: upstream, server: server)
    do {
      try await body(nginx)
    } catch {
      await nginx.supervisor.end()
      throw error
    }
    await nginx.supervisor.end()
  }

  /// Asks it with curl; answers the process, which can be ended.
  public func startCurl(_ path: String, _ arguments: [String] = []) throws -> Program {
    try Program(
      ["-sS", "--max-time", "60", "--unix-socket", socket] + arguments + ["http://localhost\(path)"],
      executable: "/usr/bin/curl")
  }

  public func curl(_ path: String, _ arguments: String...) async throws -> Program.Result {
    try await startCurl(path, arguments).end()
  }

  private static func configuration(_ path: String, _ upstream: String, _ server: String) -> String {
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(path)/\($0);" }
    return """
      daemon off;
      # The supervisor is its master.
      master_process off;
      pid \(path)/pid;
      error_log \(path)/log;
      events {}
      http {
        access_log off;
        client_max_body_size 100m;
        \(folders.joined(separator: " "))
        \(upstream)
        server {
          listen unix:\(path)/socket;
          \(server)
        }
      }
      """
  }

  private static let script = """
    trap '' INT TERM HUP PIPE
    /usr/sbin/nginx -p "$0" -c "$0/nginx.conf" </dev/null >"$0/output" 2>&1 &
    server=$!
    until test -S "$0/socket"; do
      kill -0 "$server" 2>/dev/null || { tail -n 1 "$0/output"; exit 1; }
      sleep 0.02
    done
    echo ready
    while read -r line; do :; done
    kill -KILL "$server"
    wait "$server"
    """
}
