/// A real Redis in a temporary folder, on a free port of the loopback interface.
///
/// A shell supervises it and reads our orders from a pipe. The pipe ends when this process does, crashed or
/// not: then the shell stops the server and deletes the folder.
public final class RedisServer: Sendable {
  /// The same for all starts of the server. Below the ports that the system hands out, so that nobody gets it
  /// while the server is stopped.
  public let port: UInt16

  private let supervisor: SupervisingShell

  /// Starts a server. Stops the program, with the reason, when there is none to start.
  private init(password: String, settings: [String]) async {
    supervisor = SupervisingShell(["/bin/sh", "-c", Self.script, "supervisor", password] + settings)
    let answer = await supervisor.readLine()
    guard let port = UInt16(answer) else {
      preconditionFailure("no Redis; is redis-server installed? \(answer)")
    }
    self.port = port
  }

  /// Lends a server, and ends it for good.
  /// - Parameters:
  ///   - password: what `requirepass` is set to; empty for none.
  ///   - settings: further settings, as on Redis' command line. By default nothing is written to disk.
  public static func with<Result>(
    password: String = "", settings: [String] = [], _ body: (RedisServer) async throws -> Result
  ) async throws -> Result {
    let server = await RedisServer(password: password, settings: settings)
    do {
      let result = try await body(server)
      await server.supervisor.end()
      return result
    } catch {
      await server.supervisor.end()
      throw error
    }
  }

  /// Starts the server after `stop`, and waits until it answers.
  public func start() async { await order("start") }

  /// Kills the server, and waits until it is gone. What it did not write to disk is lost.
  public func stop() async { await order("stop") }

  /// Stops the server from running, as a machine that hangs would; sockets stay open.
  public func freeze() async { await order("freeze") }

  /// Lets it run again.
  public func thaw() async { await order("thaw") }

  /// Removes all keys.
  public func flush() async {
    let answer = await run("FLUSHALL")
    precondition(answer == "OK")
  }

  /// What the server answers to a command, whose arguments have no spaces. Lines are joined by spaces.
  @discardableResult
  public func run(_ command: String) async -> String {
    var answer = await supervisor.order("run \(command)")
    while answer.last == " " { answer.removeLast() }
    return answer
  }

  private func order(_ line: String) async {
    let answer = await supervisor.order(line)
    precondition(answer == "done", "Redis: \(line): \(answer)")
  }

  private static let script = """
    # Without PIPE, an answer to a test that is gone would end this shell before its server.
    trap '' INT TERM HUP PIPE
    cd /
    umask 077
    # Words of an order are arguments, and no patterns.
    set -f
    folder=$(mktemp -d) || exit 1
    exec 2>"$folder/log"
    export REDISCLI_AUTH="$1"
    shift
    server=
    # Another program that has the port may not answer.
    client() { timeout 20 redis-cli -p "$port" "$@" </dev/null; }
    # Fails if the port is taken.
    start() {
      redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' --requirepass "$REDISCLI_AUTH" \\
        "$@" </dev/null >>"$folder/log" &
      server=$!
      until client INFO server | tr -d '\\r' | grep -qx "process_id:$server"; do
        kill -0 "$server" || { wait "$server"; server=; return 1; }
        sleep 0.02
      done
    }
    stop() {
      test -n "$server" || return 0
      kill -KILL "$server"; wait "$server"; server=
    }
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
      port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
      start "$@" && break
    done
    if test -n "$server"; then
      echo "$port"
      while read -r order words; do
        case $order in
          start) start "$@" && echo done || echo "no server" ;;
          stop) stop; echo done ;;
          freeze) kill -STOP "$server"; echo done ;;
          thaw) kill -CONT "$server"; echo done ;;
          run) client $words | tr '\\n' ' '; echo ;;
        esac
      done
      stop
    else
      tail -n 1 "$folder/log"
    fi
    rm -rf "$folder"
    """
}
