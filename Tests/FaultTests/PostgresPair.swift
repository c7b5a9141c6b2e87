import Foundation
import TestSupport

/// Two real PostgreSQL servers: `a`, the primary, and `b`, which follows it by streaming replication. A commit on `a`
/// is answered when `b` has it too (`synchronous_standby_names`).
struct PostgresPair {
  /// The folders `a` and `b` in it hold a socket each.
  private let folder: String
  private let shell: SupervisingShell

  private init() async throws {
    let command = ["/bin/sh", "-c", Self.script, "supervisor", Self.binaries]
    shell = SupervisingShell(
      getuid() == 0
        ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command : command)
    folder = await shell.readLine()
    guard folder.hasPrefix("/") else { throw Unmet("no pair of PostgreSQL servers: \(folder)") }
  }

  /// Of the database `registry`, on whichever of the two takes writes.
  var url: String { "postgresql:///registry?host=\(folder)/a,\(folder)/b&user=postgres" }
  /// On the second alone.
  var urlOfSecond: String { "postgresql:///registry?host=\(folder)/b&user=postgres" }

  /// Kills the first, all its processes at once, as a machine that loses its power does.
  func killFirst() async { _ = await shell.order("kill") }

  /// Makes the second the primary.
  func promoteSecond() async { _ = await shell.order("promote") }

  private func shutDown() async { await shell.end() }

  /// Lends a pair, and ends it.
  static func with(_ body: (PostgresPair) async throws -> Void) async throws {
    let pair = try await PostgresPair()
    do { try await body(pair) } catch {
      await pair.shutDown()
      throw error
    }
    await pair.shutDown()
  }

  private static let binaries: String = {
    let root = "/usr/lib/postgresql"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return "\(root)/\(versions.compactMap { Int($0) }.max() ?? 15)/bin"
  }()

  private static let script = """
    PATH="$1:$PATH"
    trap '' INT TERM HUP PIPE
    cd /
    umask 077
    folder=$(mktemp -d) || exit 1
    exec 2>"$folder/log"
    mkdir "$folder/a" "$folder/b"
    run() {
      postgres -D "$folder/$1/data" -k "$folder/$1" -c listen_addresses= -c fsync=off -c max_connections=60 \\
        -c shared_buffers=16MB </dev/null >>"$folder/log" &
    }
    ask() { psql -qtA -h "$folder/$1" -U postgres -c "$2" </dev/null; }
    # Waits for an answer, at most 30 s.
    until_is() {
      for attempt in $(seq 600); do
        test "$(ask "$1" "$2")" = "$3" && return 0
        sleep 0.05
      done
      return 1
    }
    first=; second=
    {
      initdb -D "$folder/a/data" -U postgres -A trust -E UTF8 --locale=C --no-sync </dev/null &&
      run a && first=$! && until_is a 'SELECT 1' 1 && ask a 'CREATE DATABASE registry' &&
      pg_basebackup -h "$folder/a" -U postgres -D "$folder/b/data" -R -X stream -c fast --no-sync </dev/null &&
      run b && second=$! && until_is b 'SELECT 1' 1 &&
      ask a "ALTER SYSTEM SET synchronous_standby_names = '*'" && ask a 'SELECT pg_reload_conf()' &&
      until_is a "SELECT sync_state FROM pg_stat_replication" sync && is_set_up=1
    } >>"$folder/log"
    if test -n "$is_set_up"; then
      echo "$folder"
      while read -r order; do
        case $order in
          kill) kill -KILL "$first" $(pgrep -P "$first"); wait "$first"; first= ;;
          promote) pg_ctl promote -D "$folder/b/data" -w </dev/null >>"$folder/log" ;;
        esac
        echo done
      done
    else
      tail -n 1 "$folder/log"
    fi
    for server in $first $second; do kill -INT "$server"; wait "$server"; done
    rm -rf "$folder"
    """
}
