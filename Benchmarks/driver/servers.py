"""The measured servers: each starts once, and is idle while another is measured."""
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import fleet
from .processes import BINARIES, ROOT, descendants, output, say, start, stop, wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int, path: str, tls: bool = False) -> bool:
    # Of a certificate of our own making.
    context = ssl._create_unverified_context() if tls else None
    url = f"http{'s' if tls else ''}://127.0.0.1:{port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def resident_bytes(processes: list[int]) -> int:
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes)
    return pages * os.sysconf("SC_PAGE_SIZE")


class Server:
    """Something that answers HTTP on a port of 127.0.0.1."""
    end_signal = signal.SIGTERM

    def __init__(self, name: str):
        self.name = name

    def __enter__(self):
        self.begin()
        return self

    def __exit__(self, *_):
        stop(self.process, self.end_signal)

    @property
    def processes(self) -> list[int]:
        return descendants(self.process.pid)


class Service(Server):
    """The device registry, as `make build` makes it."""

    def __init__(self, name: str, database_url: str, log: Path, tls: bool = False):
        super().__init__(name)
        self.database_url, self.log, self.tls = database_url, log, tls

    def begin(self):
        environment = {
            "PATH": os.environ["PATH"], "DATABASE_URL": self.database_url, "JWT_SECRET": fleet.JWT_SECRET,
            "LISTEN": f"127.0.0.1:{free_port()}", "ADMIN_LISTEN": "", "LOG_LEVEL": "info",
            # As high as they go, and not off: what they cost counts.
            "RATE_LIMIT_CLIENT": "1000000/1", "RATE_LIMIT_DEVICE": "1000000/1", "RATE_LIMIT_ADDRESS": "1000000/1",
        }
        if self.tls:
            environment["TLS_CERT_FILE"], environment["TLS_KEY_FILE"] = self.certificate()
        self.port = int(environment["LISTEN"].split(":")[1])
        began = time.monotonic()
        self.process = start([BINARIES / "device-registry", "serve"], env=environment,
                             stderr=open(self.log, "ab"))
        try:
            wait_until(lambda: answers(self.port, "/readyz", self.tls), f"{self.name}: readyz (see {self.log})")
        except BaseException:
            stop(self.process, signal.SIGKILL)
            raise
        self.seconds_to_ready = time.monotonic() - began
        time.sleep(0.5)
        self.bytes_at_rest = resident_bytes(self.processes)
        # What was signed before is refused for 5 s after the start, as the contract has it.
        self.signs_from = time.monotonic() + 6.5


    def certificate(self) -> tuple[str, str]:
        certificate, key = str(self.log.with_suffix(".pem")), str(self.log.with_suffix(".key"))
        output(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-keyout", key, "-out", certificate])
        return certificate, key


class FastAPI(Server):
    """What a good Python team would write."""
    folder = ROOT / "Benchmarks/fastapi"
    environment = ROOT / ".build/fastapi"

    def __init__(self, name: str, database_url: str, log: Path):
        super().__init__(name)
        self.database_url, self.log = database_url, log

    @classmethod
    def install(cls):
        wanted = (cls.folder / "requirements.txt").read_text()
        installed = cls.environment / "installed.txt"
        if installed.exists() and installed.read_text() == wanted:
            return
        say("  installing FastAPI and what belongs to it")
        output(["python3", "-m", "venv", "--clear", cls.environment])
        output([cls.environment / "bin/pip", "install", "-q", "-r", cls.folder / "requirements.txt"])
        installed.write_text(wanted)

    def begin(self):
        self.port = free_port()
        self.process = self.run(["serve.py", self.port, os.cpu_count()])
        try:
            wait_until(lambda: answers(self.port, "/healthz"), f"{self.name}'s start")
        except BaseException:
            stop(self.process, signal.SIGTERM)
            raise

    def create_tables(self):
        if self.run(["app.py"]).wait() != 0:
            raise RuntimeError("FastAPI's tables were not made")

    def run(self, words) -> subprocess.Popen:
        environment = {
            "PATH": os.environ["PATH"], "DATABASE_URL": self.database_url, "JWT_SECRET": fleet.JWT_SECRET,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return start([self.environment / "bin/python", *words], death_signal="TERM", cwd=self.folder,
                     env=environment, stderr=open(self.log, "ab"))


class Nginx(Server):
    """A constant answer by nginx."""

    def __init__(self, folder: Path):
        super().__init__("nginx")
        self.folder = folder / "nginx"

    def begin(self):
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        body = json.dumps({"id": fleet.device_id(1), "device_name": "x" * 200})
        places = " ".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; worker_processes auto; worker_rlimit_nofile 20000; pid {self.folder}/pid; "
            f"error_log {self.folder}/error.log; events {{ worker_connections 12000; }} http {{ access_log off; "
            f"keepalive_requests 1000000000; {places} server {{ listen 127.0.0.1:{self.port} reuseport "
            f"backlog=4096; default_type application/json; return 200 '{body}'; }} }}")
        self.process = start(["/usr/sbin/nginx", "-e", self.folder / "error.log", "-c", configuration],
                             death_signal="TERM")
        try:
            wait_until(lambda: answers(self.port, "/"), "nginx's start")
        except BaseException:
            stop(self.process, signal.SIGTERM)
            raise


class Constant(Server):
    """A constant answer by the service's own HTTP room."""

    def __init__(self):
        super().__init__("constant")

    def begin(self):
        self.process = start([BINARIES / "benchmark-constant"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
