"""The real service, as a process on SQLite; and a proxy in front of it that changes answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = Path(os.environ.get("DEVICE_REGISTRY_PROGRAM", _ROOT / ".build/debug/device-registry"))
_START_SECONDS = 30


class Registry:
    """A running service with its own database."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder
        key = folder / "sealing-key"
        key.write_text("01" * 32)
        key.chmod(0o600)
        self._environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:{folder / 'registry.db'}",
            "JWT_SECRET": "0123456789abcdef0123456789abcdef",
            "LISTEN": "127.0.0.1:0",
            "ADMIN_LISTEN": "",
            "ARGON2_MEMORY_KIB": "8",
            "ARGON2_TIME": "1",
            "SEALING_KEY_FILE": str(key),
            "WEBHOOK_ALLOW_PRIVATE": "true",
            "RATE_LIMIT_CLIENT": "off",
            "RATE_LIMIT_DEVICE": "off",
            "RATE_LIMIT_ADDRESS": "off",
            "LLVM_PROFILE_FILE": os.devnull,
            **settings,
        }
        self._clients: set[str] = set()
        self.start()

    def start(self) -> None:
        log = self._folder / "serve.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen([_PROGRAM, "serve"], env=self._environment, stderr=output)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            for line in log.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if entry.get("message") == "listening" or entry.get("event") == "listening":
                        self._listens(entry["address"])
                        return
            time.sleep(0.02)
        raise AssertionError(log.read_text())

    def _listens(self, address: str) -> None:
        scheme = "https" if "TLS_CERT_FILE" in self._environment else "http"
        self.url = f"{scheme}://{address}"
        # The next start has the same address.
        self._environment["LISTEN"] = address

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(_START_SECONDS) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(_START_SECONDS)

    def token(self, client: str, *, scope: str | None = None) -> str:
        """A token of a client, which is added if it does not exist."""
        if scope is None and client not in self._clients:
            self._run("client", "add", "--id", client, "--if-absent")
            self._clients.add(client)
        return self._run("token", "--sub", client, *(["--scope", scope] if scope else []))

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([_PROGRAM, *arguments], env=self._environment, check=True, text=True, stdout=subprocess.PIPE)
        return done.stdout.strip()


@dataclass
class ProxyAnswer:
    """An answer on its way to the client."""

    status: int
    fields: dict[str, str]
    body: bytes


@dataclass
class Proxy:
    """Passes requests on to the service, and changes the answers."""

    target: str
    change: Callable[[ProxyAnswer], ProxyAnswer | None] = lambda answer: answer
    """The answer to send; None closes the connection without one."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Method and path, and the header fields, of each request."""
    url: str = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[Proxy]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                proxy.requests.append((f"{self.command} {self.path}", dict(self.headers.items())))
                answer = proxy.change(self._answer())
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in {**answer.fields, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                # The client may have seen enough.
                with contextlib.suppress(OSError):
                    self.wfile.write(answer.body)

            def _answer(self) -> ProxyAnswer:
                connection = http.client.HTTPConnection(proxy.target.removeprefix("http://"), timeout=60)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection.request(self.command, self.path, body or None, dict(self.headers.items()))
                response = connection.getresponse()
                fields = {n: v for n, v in response.getheaders() if n.lower() not in ("content-length", "connection")}
                answer = ProxyAnswer(response.status, fields, response.read())
                connection.close()
                return answer

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
