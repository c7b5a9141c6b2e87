import Foundation
import Glibc
import Synchronization

/// A real PostgreSQL server in a temporary folder, listening on a Unix socket there and nowhere else, unless a port is
/// given.
///
/// A shell supervises it and reads our orders from a pipe. The pipe ends when this process does, crashed or
/// not: then the shell stops the server and deletes the folder.
public final class PostgresCluster: Sendable {
  /// The server that the tests of a process share, started by the first that asks. Its data is not synced.
  public static var shared: PostgresCluster {
    get async { await starting.value }
  }

  private static let starting = Task { await PostgresCluster() }

  /// Another one, for tests that wait for events: a long transaction in any database of a server delays the feeds of all.
  /// No test of this one has any.
  public static var quiet: PostgresCluster {
    get async { await startingQuiet.value }
  }

  private static let startingQuiet = Task { await PostgresCluster() }

  /// The folder that holds the socket, and the data in `data`.
  public let folder: String
  /// Part of the socket's name, and where the server listens if it was given.
  public let port: UInt16

  private let supervisor: SupervisingShell
  private let databaseCount = Atomic(0)

  /// Starts a server. Stops the program, with the reason, when there is none to start.
  private init(port: UInt16? = nil) async {
    // PostgreSQL refuses to run as root.
    let address = port == nil ? "" : "127.0.0.1"
    self.port = port ?? 5432
    let shell = ["/bin/sh", "-c", Self.script, "supervisor", Self.binaries, address, "\(self.port)"]
    let command =
      getuid() == 0
      ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + shell : shell
    supervisor = SupervisingShell(command)
    folder = await supervisor.readLine()
    precondition(folder.hasPrefix("/"), "PostgreSQL could not be set up; are its binaries in \(Self.binaries)?")
    await start()
  }

  /// Lends a server that the test may stop, and ends it for good.
  /// - Parameter port: of 127.0.0.1, where it is to listen too.
  public static func with<Result>(
    port: UInt16? = nil, _ body: (PostgresCluster) async throws -> Result
  ) async throws -> Result {
    let cluster = await PostgresCluster(port: port)
    do {
      let result = try await body(cluster)
      await cluster.supervisor.end()
      return result
    } catch {
      await cluster.supervisor.end()
      throw error
    }
  }

  /// The URL of a new, empty database.
  public func makeDatabase() async -> String {
    let name = "test_\(databaseCount.add(1, ordering: .relaxed).newValue)"
    await order("create \(name)")
    return "postgresql:///\(name)?host=\(folder)&port=\(port)&user=postgres"
  }

  /// Starts the server after `stop`, and waits until it answers.
  public func start() async { await order("start") }

  /// Stops the server at once, its sessions included, and waits until it is gone.
  public func stop() async { await order("stop") }

  /// Stops the server's processes from running, as a machine that hangs would; sockets stay open.
  public func freeze() async { await order("freeze") }

  /// Lets them run again.
  public func thaw() async { await order("thaw") }

  private func order(_ line: String) async {
    let answer = await supervisor.order(line)
    precondition(answer == "done", "PostgreSQL: \(line): \(answer)")
  }

  /// The newest server that Debian's packages installed.
  public static let binaries: String = {
    let root = "/usr/lib/postgresql"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return "\(root)/\(versions.compactMap { Int($0) }.max() ?? 15)/bin"
  }()

  private static let script = """
    PATH="$1:$PATH" address=$2
    export PGPORT="$3"
    # Without PIPE, an answer to a test that is gone would end this shell before its server.
    trap '' INT TERM HUP PIPE
    cd /
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
            postgres -D "$folder/data" -k "$folder" -c listen_addresses="$address" -c fsync=off \\
              -c max_connections=600 -c shared_buffers=32MB </dev/null >>"$folder/log" &
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
