"""The real service for browsers: on SQLite or PostgreSQL, with terminals that poll it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey
from registry import Registry

START_SECONDS = 30
LEEWAY_SECONDS = 30
# Of the services that `Registry` starts.
SECRET = "0123456789abcdef0123456789abcdef"


@contextlib.contextmanager
def postgres(folder: pathlib.Path) -> Iterator[str]:
    """A PostgreSQL without a port, which as root runs as another user. Yields its URL."""
    binaries = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    user: list[str] = []
    if os.geteuid() == 0:
        for parent in (folder, *folder.parents):
            if str(parent).startswith("/tmp/"):
                parent.chmod(0o755)
        subprocess.run(["chown", "postgres", folder], check=True)
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    initialise = [*user, binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(initialise, check=True, stdout=subprocess.DEVNULL)
    log = (folder.parent / "postgres.log").open("wb")
    server = subprocess.Popen(
        [*user, binaries / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"], stderr=log
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        ask = [binaries / "psql", "-q", "-h", folder, "-U", "postgres", "-c", "SELECT 1"]
        while subprocess.run(ask, capture_output=True).returncode:
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)
        yield f"postgresql:///postgres?host={folder}&user=postgres"
    finally:
        server.send_signal(2)
        server.wait(START_SECONDS)


class Owner:
    """A client of the service, and what its owner does without the console."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name
        self.token = registry.token(name)

    def call(self, method: str, path: str, body: object = None) -> Any:
        return call(self.registry.url, self.token, method, path, body)

    def register(self, name: str, **members: object) -> dict[str, Any]:
        return self.call("POST", "/devices", {"device_name": name, **members})

    def device(self, device_id: str) -> dict[str, Any]:
        return self.call("GET", f"/devices/{device_id}")

    def ending_token(self, seconds: float) -> str:
        """A token that is refused after some seconds: it has expired, and the service allows clocks to differ."""
        claims = {"sub": self.name, "exp": time.time() + seconds - LEEWAY_SECONDS}
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


def call(url: str, token: str | None, method: str, path: str, body: object = None, *, is_form: bool = False) -> Any:
    data = None if body is None else (urllib.parse.urlencode(body) if is_form else json.dumps(body)).encode()
    kind = "application/x-www-form-urlencoded" if is_form else "application/json"
    fields = {"Content-Type": kind} if data is not None else {}
    if token:
        fields["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{url}/api/v1{path}", data, fields, method=method)
    with urllib.request.urlopen(request, timeout=40) as answer:
        text = answer.read()
        return json.loads(text) if text else None


class Terminal:
    """A device that polls, confirms its mode, and answers signals."""

    def __init__(self, url: str, device: dict[str, Any], *, answer: str | None = "placed", confirms: bool = True) -> None:
        self.url = url
        self.answer = answer
        self.confirms = confirms
        form = {"grant_type": "client_credentials", "client_id": device["id"], "client_secret": device["secret"]}
        self.token = call(url, None, "POST", "/device/token", form, is_form=True)["access_token"]
        self.version: int | None = None

    def poll(self, wait: int = 0) -> dict[str, Any]:
        confirmed = f"&mode_version={self.version}" if self.confirms and self.version else ""
        answer = call(self.url, self.token, "GET", f"/device/poll?wait={wait}{confirmed}")
        self.version = answer["trading_mode"]["version"]
        if answer["signals"] and self.answer:
            acks = [{"signal_id": signal["id"], "status": self.answer, "broker_ticket": "8812"} for signal in answer["signals"]]
            call(self.url, self.token, "POST", "/device/ack", {"acks": acks})
        return answer

    @contextlib.contextmanager
    def running(self) -> Iterator[Terminal]:
        end = threading.Event()

        def run() -> None:
            while not end.is_set():
                try:
                    self.poll(wait=2)
                except (OSError, urllib.error.HTTPError):
                    end.wait(0.2)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            end.set()
            thread.join()


@contextlib.contextmanager
def receiver(status: int = 204) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of webhooks. Yields its URL and what it received."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", received
    finally:
        server.shutdown()
        server.server_close()
