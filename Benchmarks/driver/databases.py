"""Databases of the benchmark, and who is in them. They are filled by SQL, since registering a million devices would
take hours of argon2id."""
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from . import fleet
from .fleet import FLEET, LISTED, TO_REVOKE, TOKENS
from .processes import BINARIES, output, say, start, stop, wait_until

# The oldest device's birth, in milliseconds since 1970.
EPOCH = 1_700_000_000_000


class Cluster:
    """A separate PostgreSQL on a Unix socket, which waits for the disk as in production."""

    def __init__(self, folder: Path):
        self.folder = folder / "postgres"
        self.bin = Path(max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name)))

    def __enter__(self):
        if not self.folder.exists():
            self.folder.mkdir()
            if os.getuid() == 0:
                output(["chown", "postgres", self.folder])
            init = [self.bin / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                    "--locale=C"]
            if start(init, user="postgres", cwd="/", stdout=subprocess.DEVNULL).wait() != 0:
                raise RuntimeError("initdb failed")
        log = open(self.folder.parent / "postgres.log", "ab")
        self.process = start(
            [self.bin / "postgres", "-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=",
             "-c", "max_connections=200", "-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB"],
            user="postgres", death_signal="INT", cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: subprocess.run(
                [self.bin / "pg_isready", "-q", "-h", self.folder]).returncode == 0, "PostgreSQL's start")
        except BaseException:
            stop(self.process, signal.SIGINT)
            raise
        return self

    def __exit__(self, *_):
        stop(self.process, signal.SIGINT)

    def url(self, database: str) -> str:
        return f"postgresql:///{database}?host={self.folder}&user=postgres"

    def sql(self, database: str, *statements: str) -> str:
        words = [word for statement in statements for word in ("-c", statement)]
        return output([self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.url(database), *words])

    def make(self, database: str, fill):
        """Creates and fills a database, unless an earlier run did."""
        if self.sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{database}'"):
            return
        say(f"  filling {database}")
        self.sql("postgres", f"DROP DATABASE IF EXISTS {database}_new", f"CREATE DATABASE {database}_new")
        fill(f"{database}_new")
        # The name tells that it is whole.
        self.sql("postgres", f"ALTER DATABASE {database}_new RENAME TO {database}")

    def pgbench(self, database: str, script: str, connections: int, seconds: int) -> float:
        """Transactions a second of one prepared statement."""
        path = self.folder.parent / "pgbench.sql"
        path.write_text(script)
        text = output([self.bin / "pgbench", "-n", "-M", "prepared", "-c", connections, "-j", os.cpu_count(),
                       "-T", seconds, "-f", path, self.url(database)])
        return float(re.search(r"tps = ([\d.]+)", text)[1])


# The clients of the devices that ask for tokens: the service lets 16 hashes of each client wait.
SPREAD = "'writer-' || (i % 16)"


def migrate(url: str):
    output([BINARIES / "device-registry", "migrate"], env={**os.environ, "DATABASE_URL": url})


# Devices are filled by one statement that reads numbers `i` from a series. The names of its columns are the
# service's; both databases have them.
COLUMNS = ("id, client_id, device_name, hmac_key_hash, stored_key, server_key, is_active, revoked, created_at, "
           "updated_at")


# MARK: The service on PostgreSQL

def postgres_devices(group: int, count: int, client: str) -> str:
    born = f"to_timestamp(({EPOCH} + i) / 1000.0)"
    identifier = f"('{fleet.device_id(0, group)[:24]}' || lpad(to_hex(i), 12, '0'))::uuid"
    return (f"INSERT INTO devices ({COLUMNS}) SELECT {identifier}, {client}, 'device ' || i, "
            f"'$argon2id$' || {group} || '-' || i, '\\x{fleet.STORED_KEY.hex()}', "
            f"'\\x{fleet.SERVER_KEY.hex()}', true, false, {born}, {born} FROM generate_series(0, {count - 1}) i")


def fill_postgres(cluster: Cluster, database: str, size: int, hashes: list[str]):
    migrate(cluster.url(database))
    clients = size // fleet.PER_CLIENT
    client = f"'client-' || lpad((i / {fleet.PER_CLIENT})::text, 7, '0')"
    listed = ", ".join(f"('{hash}', {number})" for number, hash in enumerate(hashes))
    cluster.sql(
        database,
        # Triggers and foreign keys would look at each row.
        "SET session_replication_role = replica",
        f"INSERT INTO clients (id, created_at, device_count) SELECT 'client-' || lpad(i::text, 7, '0'), now(), "
        f"{fleet.PER_CLIENT} FROM generate_series(0, {clients - 1}) i",
        "INSERT INTO clients (id, created_at) SELECT 'writer-' || i, now() FROM generate_series(0, 15) i",
        "INSERT INTO clients (id, created_at) VALUES ('listed', now()), ('revoked', now())",
        postgres_devices(FLEET, size, client),
        postgres_devices(LISTED, fleet.LONG_LIST, "'listed'"),
        postgres_devices(TOKENS, len(hashes), SPREAD),
        f"UPDATE devices SET hmac_key_hash = given.hash FROM (VALUES {listed}) AS given (hash, i) WHERE id = "
        f"('{fleet.device_id(0, TOKENS)[:24]}' || lpad(to_hex(given.i), 12, '0'))::uuid",
        "CREATE SEQUENCE benchmark_revoke MINVALUE 0",
        "VACUUM ANALYZE", "CHECKPOINT")


def postgres_to_revoke(cluster: Cluster, database: str, count: int):
    """Devices that nobody has revoked yet, in place of those that somebody has."""
    cluster.sql(
        database, "SET session_replication_role = replica", "DELETE FROM devices WHERE client_id = 'revoked'",
        postgres_devices(TO_REVOKE, count, "'revoked'"), "ALTER SEQUENCE benchmark_revoke RESTART",
        "ANALYZE devices", "CHECKPOINT")


def postgres_signals(cluster: Cluster, database: str, devices: list[str], each: int):
    """Sends a number of signals to each device."""
    ids = ",".join(devices)
    # Only the service's deliveries have the signal's expiry.
    expiry = "" if database == "fastapi" else ", expires_at"
    cluster.sql(
        database, "DELETE FROM signals",
        "INSERT INTO signals (id, client_id, payload, devices, created_at, expires_at) "
        f"SELECT gen_random_uuid(), 'listed', '{{\"symbol\": \"EURUSD\"}}', {len(devices)}, now(), "
        f"now() + interval '1 day' FROM generate_series(1, {each})",
        f"INSERT INTO deliveries (signal_id, device_id{expiry}) SELECT signals.id, device::uuid{expiry} "
        f"FROM signals, unnest('{{{ids}}}'::text[]) device", "ANALYZE", "CHECKPOINT")


# MARK: The service on SQLite

def sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def sqlite_devices(group: int, count: int, client: str) -> str:
    identifier = f"'{fleet.device_id(0, group)[:24]}' || printf('%012x', i)"
    return (f"WITH RECURSIVE series (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM series LIMIT {count}) "
            f"INSERT INTO devices ({COLUMNS}) SELECT {identifier}, {client}, 'device ' || i, "
            f"'$argon2id$' || {group} || '-' || i, x'{fleet.STORED_KEY.hex()}', "
            f"x'{fleet.SERVER_KEY.hex()}', 1, 0, {EPOCH} + i, {EPOCH} + i FROM series")


def fill_sqlite(path: Path, size: int, hashes: list[str]):
    if path.exists():
        return
    say(f"  filling {path.name}")
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    migrate(f"sqlite:{new}")
    connection = sqlite(new)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO clients (id, created_at) VALUES (?, 0)",
        [(fleet.client_id(number),) for number in range(size // fleet.PER_CLIENT)]
        + [(f"writer-{number}",) for number in range(16)] + [("listed",), ("revoked",)])
    connection.execute(sqlite_devices(FLEET, size, f"printf('client-%07d', i / {fleet.PER_CLIENT})"))
    connection.execute(sqlite_devices(LISTED, fleet.LONG_LIST, "'listed'"))
    connection.execute(sqlite_devices(TOKENS, len(hashes), SPREAD))
    connection.executemany(
        "UPDATE devices SET hmac_key_hash = ? WHERE id = ?",
        [(hash, fleet.device_id(number, TOKENS)) for number, hash in enumerate(hashes)])
    connection.execute("COMMIT")
    connection.execute("ANALYZE")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    new.rename(path)


def sqlite_to_revoke(path: Path, count: int):
    connection = sqlite(path)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM devices WHERE client_id = 'revoked'")
    connection.execute(sqlite_devices(TO_REVOKE, count, "'revoked'"))
    connection.execute("COMMIT")
    connection.close()


# About as many renames share a commit when each of 32 connections has one in progress.
RENAMES_PER_COMMIT = 16


def sqlite_rename(path: Path, size: int, seconds: float) -> float:
    """Renames a second by SQLite alone: the service's statement but for what it returns, and as many for a commit."""
    connection = sqlite(path)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -8192")
    devices = [(fleet.device_id(device), fleet.client_id(client)) for device, client in fleet.active(size)]
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        connection.execute("BEGIN IMMEDIATE")
        for device, client in random.choices(devices, k=RENAMES_PER_COMMIT):
            connection.execute(
                "UPDATE devices SET device_name = ?, updated_at = ? WHERE id = ? AND client_id = ? AND NOT revoked "
                f"RETURNING {COLUMNS}", (str(random.random()), EPOCH, device, client)).fetchall()
        connection.execute("COMMIT")
        count += RENAMES_PER_COMMIT
    connection.close()
    return count / seconds


def sqlite_signals(path: Path, devices: list[str], each: int):
    connection = sqlite(path)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM deliveries")
    connection.execute("DELETE FROM signals")
    for number in range(each):
        signal_id = fleet.device_id(number, 9)
        connection.execute(
            "INSERT INTO signals (id, client_id, devices, created_at, expires_at, payload) "
            "VALUES (?, 'listed', ?, ?, 253402300799999, '{\"symbol\": \"EURUSD\"}')",
            (signal_id, len(devices), EPOCH))
        connection.executemany(
            "INSERT INTO deliveries (signal_id, device_id, expires_at) VALUES (?, ?, 253402300799999)",
            [(signal_id, device) for device in devices])
    connection.execute("COMMIT")
    connection.close()


# MARK: The opponent

def fill_fastapi(cluster: Cluster, database: str, size: int, hashes: list[str]):
    """Its tables are there."""
    born = f"to_timestamp(({EPOCH} + i) / 1000.0)"

    def devices(group: int, count: int, client: str, hash: str = None) -> str:
        hash = hash or f"'$argon2id$' || {group} || '-' || i"
        return ("INSERT INTO devices (id, client_id, device_name, hmac_key_hash, signing_key, created_at, updated_at) "
                f"SELECT ('{fleet.device_id(0, group)[:24]}' || lpad(to_hex(i), 12, '0'))::uuid, {client}, "
                f"'device ' || i, {hash}, '{fleet.SECRET}', {born}, {born} FROM generate_series(0, {count - 1}) i")
    listed = "ARRAY[" + ",".join(f"'{hash}'" for hash in hashes) + "]"
    cluster.sql(
        database,
        "INSERT INTO clients (id) SELECT 'client-' || lpad(i::text, 7, '0') "
        f"FROM generate_series(0, {size // fleet.PER_CLIENT - 1}) i",
        "INSERT INTO clients (id) SELECT 'writer-' || i FROM generate_series(0, 15) i",
        "INSERT INTO clients (id) VALUES ('listed'), ('revoked')",
        devices(FLEET, size, f"'client-' || lpad((i / {fleet.PER_CLIENT})::text, 7, '0')"),
        devices(LISTED, fleet.LONG_LIST, "'listed'"),
        devices(TOKENS, len(hashes), SPREAD, f"({listed})[i + 1]"), "VACUUM ANALYZE", "CHECKPOINT")


def fastapi_to_revoke(cluster: Cluster, database: str, count: int):
    cluster.sql(
        database, "DELETE FROM devices WHERE client_id = 'revoked'",
        "INSERT INTO devices (id, client_id, device_name, hmac_key_hash, signing_key) "
        f"SELECT ('{fleet.device_id(0, TO_REVOKE)[:24]}' || lpad(to_hex(i), 12, '0'))::uuid, 'revoked', "
        f"'device ' || i, 'revoke-' || i, '' FROM generate_series(0, {count - 1}) i", "ANALYZE", "CHECKPOINT")
