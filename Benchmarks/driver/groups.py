"""Groups of figures that are taken in turn, and what their ratios are to be."""
import os
from dataclasses import dataclass, field

from . import parking
from .bench import LARGE, SMALL, Bench
from .databases import EPOCH
from .fleet import FLEET, PER_CLIENT, TO_REVOKE, device_id
from .processes import say

# Connections of a case unless it says otherwise, and those of pgbench beside it; of signed polls; of all of them.
OWNERS, POLLERS, MANY = 32, 256, 10_000
# Reads a second on as many connections as may be.
READS_OF_MANY = 5_000
COLUMNS = "id, client_id, device_name, is_active, revoked, last_poll, last_ack, last_seen, created_at, updated_at"


@dataclass
class Target:
    """A ratio of one subject's figure to another's, or to a number where there is no other.

    limit: the subject that has the best ratio that this machine allows, or it and what it is compared with.
    """
    what: str
    subject: str
    figure: str
    other: str | float
    at_least: float | None = None
    at_most: float | None = None
    limit: str | tuple[str, str] | None = None


@dataclass
class Result:
    name: str
    rounds: list[dict] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)


def measure(bench: Bench, name: str, subjects: dict, targets: list[Target]) -> Result:
    """Takes each subject's figure in turn, round after round."""
    result = Result(name, targets=targets)
    for number in range(bench.rounds):
        figures = {}
        for subject, take in subjects.items():
            figures[subject] = take()
            say(f"{name}, round {number + 1}: {subject}: {figures[subject].get('rate', 0):,.0f}/s")
        if "pgbench" in figures and "constant" in figures:
            figures[BOTH] = one_after_the_other(figures["pgbench"], figures["constant"])
        result.rounds.append(figures)
    return result


# A service without any work besides the statement and HTTP, on the same cores.
BOTH = "pgbench and constant"


def one_after_the_other(first: dict, second: dict) -> dict:
    return {"rate": 1 / (1 / first["rate"] + 1 / second["rate"])}


def pair(bench: Bench, case: str, connections: int = OWNERS) -> dict:
    """The service on PostgreSQL and the opponent."""
    service, fastapi = bench.service("postgres", SMALL), bench.fastapi
    return {"service": lambda: bench.load(case, service, connections),
            "fastapi": lambda: bench.load(case, fastapi, connections)}


def pg_id(expression: str, group: int) -> str:
    return f"('{device_id(0, group)[:24]}' || lpad(to_hex(({expression})::int), 12, '0'))::uuid"


# MARK: On PostgreSQL, beside the limits and the opponent

def constant(bench: Bench) -> Result:
    return measure(bench, "constant", {
        "service, /healthz": lambda: bench.load("constant", bench.service("postgres", SMALL), OWNERS),
        "constant": lambda: bench.load("constant", bench.constant, OWNERS),
        "nginx": lambda: bench.load("constant", bench.nginx, OWNERS),
        "constant, 256": lambda: bench.load("constant", bench.constant, POLLERS),
        "nginx, 256": lambda: bench.load("constant", bench.nginx, POLLERS),
        "fastapi, /healthz": lambda: bench.load("constant", bench.fastapi, OWNERS),
    }, [Target("constant answer to nginx's, 32 connections", "constant", "rate", "nginx", at_least=1),
        Target("constant answer to nginx's, 256 connections", "constant, 256", "rate", "nginx, 256", at_least=1)])


def get(bench: Bench) -> Result:
    script = (f"\\set i random(0, {SMALL - 1})\n"
              f"SELECT {COLUMNS} FROM devices WHERE id = {pg_id(':i', FLEET)};\n")
    return measure(bench, "get", pair(bench, "get") | {
        "pgbench": lambda: bench.pgbench(script, OWNERS),
        "constant": lambda: bench.load("constant", bench.constant, OWNERS),
    }, [Target("get one to pgbench", "service", "rate", "pgbench", at_least=0.75, limit=BOTH),
        Target("get one to FastAPI", "service", "rate", "fastapi", at_least=10, limit=BOTH),
        # 45 µs where the constant answer takes 12.
        Target("get one, processor time to the constant's", "service", "microseconds", "constant",
               at_most=45 / 12)])


def list_ten(bench: Bench) -> Result:
    script = (f"\\set i random(0, {SMALL // PER_CLIENT - 1})\n"
              f"SELECT {COLUMNS} FROM devices WHERE client_id = 'client-' || lpad(:i::text, 7, '0') "
              "AND (created_at, id) > ('-infinity', '00000000-0000-0000-0000-000000000000') "
              "ORDER BY created_at, id LIMIT 10001;\n")
    return measure(bench, "list-ten", pair(bench, "list-ten") | {
        "pgbench": lambda: bench.pgbench(script, OWNERS),
        "constant": lambda: bench.load("constant", bench.constant, OWNERS),
    }, [Target("list of ten to pgbench", "service", "rate", "pgbench", at_least=0.6, limit=BOTH),
        Target("list of ten to FastAPI", "service", "rate", "fastapi", at_least=10, limit=BOTH),
        Target("list of ten, processor time to the constant's", "service", "microseconds", "constant",
               at_most=80 / 12)])


def list_page(bench: Bench) -> Result:
    return measure(bench, "list-page", pair(bench, "list-page"), [])


def register(bench: Bench) -> Result:
    return measure(bench, "register", pair(bench, "register") | {"argon2id": bench.argon2id}, [
        Target("register to bare argon2id", "service", "rate", "argon2id", at_least=0.97),
        Target("register to FastAPI", "service", "rate", "fastapi", at_least=1)])


def token(bench: Bench) -> Result:
    return measure(bench, "token", pair(bench, "token") | {"argon2id": bench.argon2id}, [
        Target("token to bare argon2id", "service", "rate", "argon2id", at_least=0.9)])


def renaming(size: int) -> str:
    # `now()` of a transaction that changes nothing else.
    return (f"\\set i random(0, {size - 1})\n\\set r random(0, 1000000000)\n"
            f"UPDATE devices SET device_name = :i || '-' || :r, updated_at = now() WHERE id = {pg_id(':i', FLEET)} "
            f"AND client_id = 'client-' || lpad((:i::int / {PER_CLIENT})::text, 7, '0') AND NOT revoked "
            f"RETURNING {COLUMNS};\n")


REVOKE = ("WITH next AS (SELECT nextval('benchmark_revoke') AS i) UPDATE devices SET revoked = true, "
          f"is_active = false, updated_at = now() FROM next WHERE devices.id = {pg_id('next.i', TO_REVOKE)} "
          f"AND client_id = 'revoked' AND NOT revoked RETURNING {COLUMNS};\n")


def rename(bench: Bench) -> Result:
    return measure(bench, "rename", pair(bench, "rename") | {
        "pgbench": lambda: bench.pgbench(renaming(SMALL), OWNERS),
        "constant": lambda: bench.load("constant", bench.constant, OWNERS),
    }, [Target("rename to pgbench", "service", "rate", "pgbench", at_least=0.75, limit=BOTH),
        Target("rename to FastAPI", "service", "rate", "fastapi", at_least=4, limit=BOTH)])


def revoke(bench: Bench) -> Result:
    def pgbench_revoke():
        bench.make_to_revoke(bench.service("postgres", SMALL), bench.seconds * 12_000)
        return bench.pgbench(REVOKE, OWNERS)
    return measure(bench, "revoke", pair(bench, "revoke") | {
        "pgbench, rename": lambda: bench.pgbench(renaming(SMALL), OWNERS), "pgbench, revoke": pgbench_revoke,
    }, [Target("revoke to pgbench's UPDATE", "service", "rate", "pgbench, rename", at_least=0.75),
        Target("revoke to pgbench's, triggers and all", "service", "rate", "pgbench, revoke", at_least=0.75),
        Target("revoke to FastAPI", "service", "rate", "fastapi", at_least=4)])


def poll(bench: Bench) -> Result:
    return measure(bench, "poll", pair(bench, "poll", POLLERS) | {
        "constant": lambda: bench.load("constant", bench.constant, POLLERS),
        "nginx": lambda: bench.load("constant", bench.nginx, POLLERS),
        "openssl HMAC": bench.openssl,
    }, [Target("signed poll to the constant answer", "service", "rate", "constant", at_least=0.5),
        Target("signed poll, processor time to the constant's", "service", "microseconds", "constant", at_most=2.5),
        Target("signed poll to nginx's", "service", "rate", "nginx", at_least=0.3),
        Target("signed poll to FastAPI", "service", "rate", "fastapi", at_least=20),
        Target("signed poll, p99 to p50", "service", "p99", "service p50", at_most=4)])


def tls(bench: Bench) -> Result:
    """Polls over TLS 1.3, on connections that are kept."""
    plain, secure = bench.service("sqlite", SMALL), bench.tls_service
    return measure(bench, "tls", {
        "poll": lambda: bench.load("poll", plain, POLLERS), "poll, TLS": lambda: bench.load("poll", secure, POLLERS),
    }, [Target("signed poll over TLS to plain HTTP", "poll, TLS", "rate", "poll", at_least=0.75)])


def deliver(bench: Bench) -> Result:
    return measure(bench, "deliver", pair(bench, "deliver"), [])


# MARK: On SQLite

def sqlite(bench: Bench) -> Result:
    def take(case: str, connections: int = OWNERS):
        service = bench.service("sqlite", SMALL)
        return lambda: bench.load(case, service, connections)
    return measure(bench, "sqlite", {
        "get": take("get"), "list-ten": take("list-ten"), "list-page": take("list-page"),
        "register": take("register"), "rename": take("rename"), "revoke": take("revoke"),
        "poll": take("poll", POLLERS), "deliver": take("deliver"), "token": take("token"),
        "constant": lambda: bench.load("constant", bench.constant, OWNERS),
    }, [Target("get one on SQLite to the constant answer", "get", "rate", "constant", at_least=0.6)])


# MARK: Growth

def growth(kind: str):
    cases = {"get": OWNERS, "list-ten": OWNERS, "rename": OWNERS, "poll": POLLERS}

    def take(bench: Bench) -> Result:
        small, large = bench.service(kind, SMALL), bench.service(kind, LARGE)
        subjects = {}
        for case, connections in cases.items():
            for server, size in ((small, "1,000"), (large, "1,000,000")):
                subjects[f"{case}, {size}"] = (
                    lambda case=case, server=server, connections=connections: bench.load(case, server, connections))
        targets = {
            case: Target(f"{case} with 1,000,000 devices on {kind}", f"{case}, 1,000,000", "rate", f"{case}, 1,000",
                         at_least=0.9) for case in cases}
        # Each renamed device is on another page, and each page is written separately: what that costs the
        # database alone.
        for size, name in ((SMALL, "1,000"), (LARGE, "1,000,000")):
            subjects[f"{kind} alone, rename, {name}"] = (
                lambda size=size: bench.pgbench(renaming(size), OWNERS, size) if kind == "postgres"
                else bench.sqlite_rename(size))
        targets["rename"].limit = (f"{kind} alone, rename, 1,000,000", f"{kind} alone, rename, 1,000")
        return measure(bench, f"growth-{kind}", subjects, list(targets.values()))
    return take


# MARK: Connections and memory

def connections(bench: Bench) -> Result:
    service = bench.service("postgres", SMALL)
    subjects = {}
    for count in (16, 256, MANY):
        # Simultaneous requests may exceed the bound of the database's queue, so reads start one after another.
        many = {"may_refuse": count == MANY}
        rate = READS_OF_MANY if count == MANY else None
        subjects[f"constant, {count:,}"] = lambda count=count: bench.load("constant", bench.constant, count)
        subjects[f"poll, {count:,}"] = lambda count=count, many=many: bench.load("poll", service, count, **many)
        subjects[f"get, {count:,}"] = (
            lambda count=count, many=many, rate=rate: bench.load("get", service, count, rate=rate, **many))
    return measure(bench, "connections", subjects, [])


def memory(bench: Bench) -> Result:
    """A separate service, at rest and with 10,000 connections that each poll every four seconds."""
    from .servers import Service
    size = LARGE if ("postgres", LARGE) in bench.servers else SMALL
    url = bench.service("postgres", size).database_url + "&application_name=memory"
    bench.service("postgres", size).__exit__()
    del bench.servers["postgres", size]

    def take() -> dict:
        with Service("service, memory", url, bench.folder / "service-memory.log") as server:
            server.kind, server.size = "postgres", size
            # Ten thousand uncached devices at once would be too much for the database: they start one after another.
            bench.load("poll", server, OWNERS, seconds=2, devices=MANY)
            figures = bench.load("poll", server, MANY, rate=MANY / 4, seconds=max(5, bench.seconds), devices=MANY)
            figures["restBytes"] = server.bytes_at_rest
            figures["readySeconds"] = server.seconds_to_ready
            figures["bytesPerConnection"] = (figures["endBytes"] - server.bytes_at_rest) / MANY
            return figures
    return measure(bench, "memory", {"service": take}, [
        Target("start to readyz, ms", "service", "readySeconds", 0.001, at_most=100),
        Target("memory at rest, MB", "service", "restBytes", 1e6, at_most=32),
        Target("memory for each connection that polls, KB", "service", "bytesPerConnection", 1e3, at_most=24)])


def parked(bench: Bench) -> Result:
    """10,000 polls that wait, and one signal to all of them."""
    return measure(bench, "parked", {"service": lambda: parking.measure(bench, MANY)}, [
        Target("idle connection, KB", "service", "idleBytes", 1e3, at_most=4),
        Target("parked poll, KB", "service", "parkedBytes", 1e3, at_most=8.192),
        Target("a signal to all of them, the first answer, ms", "service", "firstSeconds", 1e-3, at_most=5),
        Target("a signal to all of them, the last answer, ms", "service", "lastSeconds", 1e-3, at_most=500),
        Target("other requests meanwhile, p99, ms", "service", "othersSeconds", 1e-3, at_most=50)])


def fleet(bench: Bench) -> Result:
    """10,000 devices that each poll every second, over 256 connections."""
    service = bench.service("postgres", LARGE)
    seconds = int(os.environ.get("BENCH_FLEET_SECONDS", "0")) or max(5, bench.seconds)
    bench.load("poll", service, OWNERS, seconds=2, devices=MANY)
    return measure(bench, "fleet", {
        "service": lambda: bench.load("poll", service, POLLERS, rate=10_000, seconds=seconds, devices=10_000),
    }, [Target("10,000 polls a second, cores", "service", "serverSeconds", "service seconds", at_most=1.2),
        Target("10,000 polls a second, MB at the peak", "service", "peakBytes", 1e6, at_most=150)])


GROUPS = {
    "constant": constant, "get": get, "list-ten": list_ten, "list-page": list_page, "register": register,
    "rename": rename, "revoke": revoke, "poll": poll, "deliver": deliver, "token": token, "sqlite": sqlite,
    "connections": connections, "growth-postgres": growth("postgres"), "growth-sqlite": growth("sqlite"),
    "fleet": fleet, "memory": memory, "tls": tls, "parked": parked,
}
