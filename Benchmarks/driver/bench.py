"""One run of the benchmark: its databases, its servers, and how a figure is taken."""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import cases, databases, fleet
from .processes import BINARIES, output, say, start
from .servers import Constant, FastAPI, Nginx, Service

SMALL, LARGE = 1_000, 1_000_000
# Seconds of a run that are not counted.
WARM_UP = 0.5
# Devices that a run may revoke, each second.
REVOKED_PER_SECOND = 12_000


class Bench:
    def __init__(self, seconds: int, rounds: int, folder: str = None):
        self.seconds, self.rounds = seconds, rounds
        self.kept = folder
        self.stack = contextlib.ExitStack()
        self.servers = {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            if self.kept:
                self.folder = Path(self.kept).absolute()
                self.folder.mkdir(exist_ok=True)
            else:
                self.folder = Path(tempfile.mkdtemp(prefix="device-registry-benchmark-"))
                stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            # PostgreSQL's user passes through.
            self.folder.chmod(0o755)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)

    # MARK: Databases and servers, made when they are first asked for

    @property
    def cluster(self) -> databases.Cluster:
        if "cluster" not in self.servers:
            say("Starting PostgreSQL")
            self.servers["cluster"] = self.stack.enter_context(databases.Cluster(self.folder))
        return self.servers["cluster"]

    @property
    def hashes(self) -> list[str]:
        if "hashes" not in self.servers:
            text = output([BINARIES / "benchmark-load", "hashes", fleet.WITH_HASH], input=fleet.SECRET + "\n")
            self.servers["hashes"] = text.split()
        return self.servers["hashes"]

    def service(self, kind: str, size: int) -> Service:
        """kind: postgres or sqlite."""
        key = (kind, size)
        if key not in self.servers:
            say(f"Starting the service on {kind} with {size:,} devices")
            if kind == "postgres":
                database = f"registry_{size}"
                self.cluster.make(database, lambda new: databases.fill_postgres(self.cluster, new, size, self.hashes))
                url = self.cluster.url(database)
            else:
                path = self.folder / f"registry_{size}.db"
                databases.fill_sqlite(path, size, self.hashes)
                url = f"sqlite:{path}"
            name = f"service, {kind}" + (", 1,000,000" if size == LARGE else "")
            server = self.stack.enter_context(Service(name, url, self.folder / f"service-{kind}-{size}.log"))
            server.kind, server.size = kind, size
            self.servers[key] = server
        return self.servers[key]

    @property
    def tls_service(self) -> Service:
        """The service on SQLite, over TLS."""
        if "tls" not in self.servers:
            path = self.folder / "registry_tls.db"
            databases.fill_sqlite(path, SMALL, self.hashes)
            server = self.stack.enter_context(
                Service("service, TLS", f"sqlite:{path}", self.folder / "service-tls.log", tls=True))
            server.kind, server.size = "sqlite", SMALL
            self.servers["tls"] = server
        return self.servers["tls"]

    @property
    def fastapi(self) -> FastAPI:
        if "fastapi" not in self.servers:
            say("Starting FastAPI")
            FastAPI.install()
            log = self.folder / "fastapi.log"

            def fill(new: str):
                FastAPI("fastapi", self.cluster.url(new), log).create_tables()
                databases.fill_fastapi(self.cluster, new, SMALL, self.hashes)
            self.cluster.make("fastapi", fill)
            server = self.stack.enter_context(FastAPI("fastapi", self.cluster.url("fastapi"), log))
            server.kind, server.size = "fastapi", SMALL
            self.servers["fastapi"] = server
        return self.servers["fastapi"]

    @property
    def nginx(self) -> Nginx:
        if "nginx" not in self.servers:
            self.servers["nginx"] = self.stack.enter_context(Nginx(self.folder))
        return self.servers["nginx"]

    @property
    def constant(self) -> Constant:
        if "constant" not in self.servers:
            self.servers["constant"] = self.stack.enter_context(Constant())
        return self.servers["constant"]

    # MARK: Figures

    def load(self, case: str, server, connections: int, *, rate: float = None, seconds: float = None,
             devices: int = fleet.ACTIVE, may_refuse: bool = False) -> dict:
        """Sends a case's requests, and answers what the generator reports."""
        size, pool = getattr(server, "size", SMALL), 0
        seconds = seconds or self.seconds
        if case == "revoke":
            pool = int((seconds + WARM_UP) * REVOKED_PER_SECOND)
            self.make_to_revoke(server, pool)
        if case == "deliver":
            self.make_signals(server, size)
        if case in ("poll", "deliver"):
            time.sleep(max(0, getattr(server, "signs_from", 0) - time.monotonic()))
        plan = cases.plan(case, server, size, pool)
        if devices != fleet.ACTIVE:
            plan["actors"] = cases.polling(size, devices)
        plan |= {"port": server.port, "tls": getattr(server, "tls", False), "connections": connections, "seconds": seconds, "warmUpSeconds": WARM_UP,
                 "processes": server.processes}
        if rate:
            plan["rate"] = rate
        generator = start([BINARIES / "benchmark-load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        text, _ = generator.communicate(json.dumps(plan).encode(), timeout=seconds + 60)
        if generator.returncode != 0:
            raise RuntimeError(f"{server.name}: {case}: the load generator failed")
        report = json.loads(text)
        if case == "deliver":
            self.remove_signals(server)
        if report["errors"] and not may_refuse:
            raise RuntimeError(f"{server.name}: {case}: {report['errors']} errors: {report.get('firstError')}")
        report["rate"] = report["requests"] / report["seconds"]
        report["microseconds"] = report["serverSeconds"] / max(1, report["requests"]) * 1e6
        report["generatorShare"] = report["generatorSeconds"] / report["seconds"]
        return report

    def make_to_revoke(self, server, count: int):
        match server.kind:
            case "postgres":
                databases.postgres_to_revoke(self.cluster, f"registry_{server.size}", count)
            case "sqlite":
                databases.sqlite_to_revoke(self.folder / f"registry_{server.size}.db", count)
            case "fastapi":
                databases.fastapi_to_revoke(self.cluster, "fastapi", count)

    def make_signals(self, server, size: int):
        """More than one run delivers."""
        devices, each = [actor["id"] for actor in cases.polling(size)], 30 * self.seconds
        match server.kind:
            case "postgres":
                databases.postgres_signals(self.cluster, f"registry_{server.size}", devices, each)
            case "sqlite":
                databases.sqlite_signals(self.folder / f"registry_{server.size}.db", devices, each)
            case "fastapi":
                databases.postgres_signals(self.cluster, "fastapi", devices, each)

    def remove_signals(self, server):
        """So that polls are idle again."""
        if server.kind == "sqlite":
            databases.sqlite_signals(self.folder / f"registry_{server.size}.db", [], 0)
        else:
            database = "fastapi" if server.kind == "fastapi" else f"registry_{server.size}"
            databases.postgres_signals(self.cluster, database, [], 0)

    def pgbench(self, script: str, connections: int, size: int = SMALL) -> dict:
        self.service("postgres", size)
        return {"rate": self.cluster.pgbench(f"registry_{size}", script, connections, self.seconds)}

    def sqlite_rename(self, size: int) -> dict:
        self.service("sqlite", size)
        return {"rate": databases.sqlite_rename(self.folder / f"registry_{size}.db", size, self.seconds)}

    def argon2id(self) -> dict:
        return {"rate": float(output([BINARIES / "benchmark-load", "argon2id", self.seconds, os.cpu_count()]))}

    def openssl(self) -> dict:
        """HMAC-SHA-256 of a signature base's length, on one core."""
        text = output(["openssl", "speed", "-seconds", "1", "-bytes", "160", "-hmac", "sha256"])
        return {"rate": float(text.split()[-1].rstrip("k")) * 1000 / 160}
