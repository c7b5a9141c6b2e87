"""A terminal with one of the shipped programs, compiled on the shim; and an owner of devices."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS.parents[1] / "python" / "tests"))
from registry import Proxy, ProxyAnswer, Registry  # noqa: E402, F401

PROGRAMS = pathlib.Path(os.environ.get("MQL5_PROGRAMS", TESTS.parents[2] / ".build/clients/mql5/bin"))
WAIT_SECONDS = int(os.environ.get("MQL5_WAIT_SECONDS", 30))
REMOVED, CHART_CHANGED = 1, 3


def wait(until, what, seconds=WAIT_SECONDS):
    """The first true value of a condition. Fails if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = until()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not in {seconds} s: {what() if callable(what) else what}")


class Computer:
    """The folders of a Windows user, which outlive terminals and programs."""

    def __init__(self, folder, name="one"):
        self.folder = pathlib.Path(folder, name)
        self.name = name
        self.sessions = 0
        (self.folder / "common").mkdir(parents=True)
        self.broker = self.folder.parent / "broker"  # two computers may trade one account
        self.new_session()

    def new_session(self):
        """Starts the terminal again: its memory is empty."""
        self.sessions += 1
        self.session = self.folder / f"session{self.sessions}"
        self.session.mkdir()

    def environment(self, url, **inputs):
        return os.environ | {
            "SHIM_COMMON": str(self.folder / "common"), "SHIM_SESSION": str(self.session), "SHIM_BROKER": str(self.broker),
            "SHIM_TERMINAL": self.name, "SHIM_ALLOWED_URL": url, "ASAN_OPTIONS": "detect_leaks=0", "INPUT_InpUrl": url,
            "INPUT_InpTimer": "20", "INPUT_InpReconcile": "200",
        } | {f"INPUT_{name}" if name.startswith("Inp") else name: str(value) for name, value in inputs.items()}

    def files(self):
        """The content of the library's files, but for the lock."""
        return {path.name: path.read_bytes() for path in sorted((self.folder / "common").rglob("*"))
                if path.is_file() and path.suffix != ".lock"}

    def orders(self):
        """The comments of the orders that the broker got."""
        return [line.split()[2] for line in self.broker.read_text().splitlines()] if self.broker.exists() else []


class Terminal:
    """A running program."""

    def __init__(self, computer, url, program="demo", **inputs):
        self.lines = []
        self.process = subprocess.Popen(
            [PROGRAMS / program], env=computer.environment(url, **inputs), text=True, encoding="utf-8", errors="replace",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def text(self):
        return "\n".join(self.lines)

    def status(self):
        """What the chart shows."""
        shown = [line for line in list(self.lines) if line.startswith("Comment: ")]
        return shown[-1].removeprefix("Comment: Device registry: ") if shown else ""

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def see(self, pattern, seconds=WAIT_SECONDS):
        """Waits until the chart shows a text."""
        return wait(lambda: re.search(pattern, self.status()), lambda: f"{pattern!r} in\n{self.text()}", seconds)

    def read(self, pattern, seconds=WAIT_SECONDS):
        """Waits until the program printed a line."""
        return wait(lambda: re.search(pattern, self.text()), lambda: f"{pattern!r} in\n{self.text()}", seconds)

    def end(self):
        """Waits until the program ends; returns its exit status."""
        status = self.process.wait(WAIT_SECONDS)
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
        return status

    def stop(self, reason=CHART_CHANGED):
        if self.process.poll() is None:
            self.say(f"stop {reason}")
        status = self.end()
        assert status == 0, f"exit status {status}\n{self.text()}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.end()


class Owner:
    """A client of the registry, who owns devices."""

    def __init__(self, registry, name, scope=None):
        self.registry = registry
        self.name = name
        self.token = registry.token(name, scope=scope)

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"{self.registry.url}/api/v1{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(content) if content else None

    def register(self, name="EA"):
        return self.call("POST", "/devices", {"device_name": name})

    def device(self, device):
        return self.call("GET", f"/devices/{device}")

    def send(self, *devices, ttl=3600, **payload):
        """Sends a signal that the demo trades, and returns its id."""
        payload = {"symbol": "EURUSD", "side": "buy", "volume": "0.10"} | payload
        return self.call("POST", "/signals", {"payload": payload, "device_ids": list(devices), "ttl_seconds": ttl})["id"]

    def delivery(self, signal, device):
        deliveries = self.call("GET", f"/signals/{signal}")["deliveries"]
        return next(delivery for delivery in deliveries if delivery["device_id"] == device)

    def acknowledged(self, signal, device, seconds=WAIT_SECONDS):
        """Waits until the device reported what became of a signal."""
        return wait(lambda: (found := self.delivery(signal, device))["state"] == "acked" and found,
                    lambda: f"{signal}: {self.delivery(signal, device)}", seconds)


def tag(signal):
    """The comment of an order."""
    return "DR" + signal.replace("-", "")[16:]
