import Glibc

/// A real PgBouncer on a socket in a temporary folder, in front of a server.
public final class PgBouncer: Sendable {
  public enum Mode: String, CaseIterable, Sendable { case session, transaction, statement }

  private let supervisor: SupervisingShell
  private let folder: String

  private init(_ mode: Mode, for cluster: PostgresCluster) async {
    // PgBouncer refuses to run as root.
    let shell = ["/bin/sh", "-c", Self.script, "supervisor", cluster.folder, "\(cluster.port)", mode.rawValue]
    supervisor = SupervisingShell(
      getuid() == 0
        ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + shell : shell)
    folder = await supervisor.readLine()
    precondition(folder.hasPrefix("/"), "no PgBouncer; is pgbouncer installed? \(folder)")
  }

  /// Lends a PgBouncer, and ends it.
  public static func with(
    _ mode: Mode, for cluster: PostgresCluster, _ body: (PgBouncer) async throws -> Void
  ) async throws {
    let pooler = await PgBouncer(mode, for: cluster)
    do {
      try await body(pooler)
    } catch {
      await pooler.supervisor.end()
      throw error
    }
    await pooler.supervisor.end()
  }

  /// The URL of a database of the server, through the pooler.
  public func url(of name: String) -> String {
    "postgresql:///\(name)?host=\(folder)&port=\(Self.port)&user=postgres"
  }

  /// Part of the socket's name.
  private static let port = 6432

  private static let script = """
    trap '' INT TERM HUP PIPE
    umask 077
    folder=$(mktemp -d) || exit 1
    cat >"$folder/settings" <<END
    [databases]
    * = host=$1 port=$2 user=postgres
    [pgbouncer]
    unix_socket_dir = $folder
    listen_addr =
    listen_port = \(port)
    auth_type = any
    pool_mode = $3
    default_pool_size = 50
    logfile = $folder/log
    END
    /usr/sbin/pgbouncer -q "$folder/settings" </dev/null >"$folder/output" 2>&1 &
    server=$!
    until test -S "$folder/.s.PGSQL.\(port)"; do
      kill -0 "$server" 2>/dev/null || { tail -n 1 "$folder/output"; exit 1; }
      sleep 0.02
    done
    echo "$folder"
    while read -r line; do :; done
    kill -KILL "$server"
    wait "$server"
    rm -rf "$folder"
    """
}
