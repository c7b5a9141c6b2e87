import Foundation
import Glibc
import Synchronization

/// A real PostgreSQL server in a temporary folder, listening on a Unix socket there and nowhere else.
///
/// A shell supervises it and reads our orders from a pipe. The pipe ends when this process does, crashed or
/// not: then the shell stops the server and deletes the folder.
public final class PostgresCluster: Sendable {
  /// The server that the tests of a process share, started by the first that asks. Its data is not synced.
  public static let shared = PostgresCluster()

  /// The folder that holds the socket, and the data in `data`.
  public let folder: String

  private let supervisor: Mutex<Supervisor>

  private struct Supervisor {
    let shell: SupervisingShell
    var databaseCount = 0

    func order(_ line: String) {
      let answer = shell.order(line)
      precondition(answer == "done", "PostgreSQL: \(line): \(answer)")
    }
  }

  /// Starts a server. Stops the program, with the reason, when there is none to start.
  public init() {
    // PostgreSQL refuses to run as root.
    let shell = ["/bin/sh", "-c", Self.script, "supervisor", Self.binaries]
    let command =
      getuid() == 0
      ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + shell : shell
    let supervisor = Supervisor(shell: SupervisingShell(command))
    folder = supervisor.shell.readLine()
    precondition(folder.hasPrefix("/"), "PostgreSQL could not be set up; are its binaries in \(Self.binaries)?")
    self.supervisor = Mutex(supervisor)
    start()
  }

  /// The URL of a new, empty database.
  public func makeDatabase() -> String {
    let name = supervisor.withLock { supervisor in
      supervisor.databaseCount += 1
      let name = "test_\(supervisor.databaseCount)"
      supervisor.order("create \(name)")
      return name
    }
    return "postgresql:///\(name)?host=\(folder)&user=postgres"
  }

  /// Starts the server after `stop`, and waits until it answers.
  public func start() { supervisor.withLock { $0.order("start") } }

  /// Stops the server at once, its sessions included, and waits until it is gone.
  public func stop() { supervisor.withLock { $0.order("stop") } }

  /// Stops the server's processes from running, as a machine that hangs would; sockets stay open.
  public func freeze() { supervisor.withLock { $0.order("freeze") } }

  /// Lets them run again.
  public func thaw() { supervisor.withLock { $0.order("thaw") } }

  /// Ends the server for good, and deletes its folder.
  public func shutDown() { supervisor.withLock { $0.shell.end() } }

  /// The newest server that Debian's packages installed.
  private static let binaries: String = {
    let root = "/usr/lib/postgresql"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return "\(root)/\(versions.compactMap { Int($0) }.max() ?? 15)/bin"
  }()

  private static let script = """
    PATH="$1:$PATH"
    # Without PIPE, an answer to a test that is gone would end this shell before its server.
    trap '' INT TERM HUP PIPE
    umask 077
    folder=$(mktemp -d) || exit 1
    exec 2>"$folder/log"
    server=
    stop() {
      test -n "$server" || return 0
      kill -CONT "$server" $(pgrep -P "$server")
      kill -INT "$server"; wait "$server"; server=
    }
    if initdb -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >>"$folder/log" </dev/null
    then
      echo "$folder"
      while read -r order name; do
        case $order in
          start)
            postgres -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off \\
              -c max_connections=300 -c shared_buffers=32MB </dev/null >>"$folder/log" &
            server=$!
            until psql -q -h "$folder" -U postgres -c 'SELECT 1' </dev/null >>"$folder/log" 2>&1; do
              kill -0 "$server" || { echo "no server"; break; }
              sleep 0.05
            done ;;
          stop) stop ;;
          freeze) kill -STOP "$server" $(pgrep -P "$server") ;;
          thaw) kill -CONT "$server" $(pgrep -P "$server") ;;
          create) psql -q -h "$folder" -U postgres -c "CREATE DATABASE $name" </dev/null >>"$folder/log" ;;
        esac
        echo done
      done
      stop
    fi
    rm -rf "$folder"
    """
}
