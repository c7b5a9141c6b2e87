"""Connections that are idle, and polls that wait for a signal, in a separate service."""
import base64
import hmac
import json
import secrets
import select
import socket
import sys
import threading
import time
import urllib.request

from . import databases, fleet
from .processes import start
from .servers import Service, resident_bytes

# The devices, all of one client.
GROUP, CLIENT = 5, "parked"
# Processes that read meanwhile, and how often each of them does.
READERS, READ_INTERVAL_SECONDS = 4, 0.002
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def measure(bench, count: int) -> dict:
    path = bench.folder / "registry_parked.db"
    is_new = not path.exists()
    databases.fill_sqlite(path, fleet.PER_CLIENT, bench.hashes)
    database = databases.sqlite(path)
    if is_new:
        database.execute("INSERT INTO clients (id, created_at) VALUES (?, 0)", (CLIENT,))
        database.execute(databases.sqlite_devices(GROUP, count, f"'{CLIENT}'"))
    database.execute("DELETE FROM deliveries")
    database.execute("DELETE FROM signals")
    database.close()
    with Service("service, parked", f"sqlite:{path}", bench.folder / "service-parked.log") as server:
        time.sleep(max(0, server.signs_from - time.monotonic()))
        figures = {"idleBytes": idle_bytes(server, count)}
        # What is remembered of the devices, and of their nonces, is not the polls'.
        polls = [park(server, number, wait=0) for number in range(count)]
        read_all(polls)
        before = resident_bytes(server.processes)
        close_all(polls)
        polls = [park(server, number, wait=30) for number in range(count)]
        wait_until_parked(polls)
        figures["parkedBytes"] = (resident_bytes(server.processes) - before) / count + figures["idleBytes"]
        figures |= send_to_all(server, polls)
        close_all(polls)
    return figures


def idle_bytes(server: Service, count: int) -> float:
    connections = [connect(server, HEALTH) for _ in range(count)]
    read_all(connections)
    bytes_each = (resident_bytes(server.processes) - server.bytes_at_rest) / count
    close_all(connections)
    return bytes_each


def send_to_all(server: Service, polls: list[socket.socket]) -> dict:
    """Seconds from the moment at which the signal is committed, which the answer to it shows at the latest."""
    readers = [start([sys.executable, "-c", READER, str(server.port), str(READ_INTERVAL_SECONDS)],
                     stdin=-1, stdout=-1) for _ in range(READERS)]
    for reader in readers:
        reader.stdout.readline()
    sent = {}
    sender = threading.Thread(target=lambda: sent.update(seconds=send(server)))
    sender.start()
    answers = arrivals(polls)
    sender.join()
    committed = min(sent["seconds"], answers[0])
    delays = []
    for reader in readers:
        text, _ = reader.communicate(b"\n")
        delays += json.loads(text)
    delays.sort()
    return {"rate": len(answers) / (answers[-1] - answers[0]), "firstSeconds": answers[0] - committed,
            "lastSeconds": answers[-1] - committed, "othersSeconds": delays[int(len(delays) * 0.99)],
            "othersWorstSeconds": delays[-1]}


def send(server: Service) -> float:
    """Answers when the answer came."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/api/v1/signals", method="POST", data=b'{"payload": {}, "all": true}',
        headers={"Authorization": f"Bearer {fleet.token(CLIENT)}", "Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()
    return time.perf_counter()


def arrivals(polls: list[socket.socket]) -> list[float]:
    """When each of the answers came."""
    epoll, times = select.epoll(), []
    for poll in polls:
        epoll.register(poll, select.EPOLLIN | select.EPOLLONESHOT)
    while len(times) < len(polls):
        ready = epoll.poll(30)
        if not ready:
            raise RuntimeError(f"{len(polls) - len(times)} parked polls got no answer")
        times += [time.perf_counter()] * len(ready)
    epoll.close()
    return times


# A separate process: with ten thousand answers, a thread would measure this process.
READER = """
import json, select, socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
delays = []
while not select.select([sys.stdin], [], [], float(sys.argv[2]))[0]:
    began = time.perf_counter()
    connection.sendall(%r)
    connection.recv(65536)
    delays.append(time.perf_counter() - began)
print(json.dumps(delays))
""" % HEALTH


def park(server: Service, number: int, wait: int) -> socket.socket:
    device, created, nonce = fleet.device_id(number, GROUP), int(time.time()), secrets.token_urlsafe(16)
    parameters = f'("@method" "@path" "@query");created={created};keyid="{device}";nonce="{nonce}"'
    base = (f'"@method": GET\n"@path": /api/v1/device/poll\n"@query": ?wait={wait}\n'
            f'"@signature-params": {parameters}')
    code = hmac.digest(fleet.STORED_KEY, base.encode(), "sha256")
    proof = base64.b64encode(bytes(left ^ right for left, right in zip(fleet.CLIENT_KEY, code))).decode()
    return connect(server, (f"GET /api/v1/device/poll?wait={wait} HTTP/1.1\r\nHost: localhost\r\n"
                            f"Signature-Input: sig1={parameters}\r\nSignature: sig1=:{proof}:\r\n\r\n").encode())


def connect(server: Service, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(request)
    return connection


def read_all(connections: list[socket.socket]):
    for connection in connections:
        if b" 200 " not in connection.recv(65536)[:16]:
            raise RuntimeError("a request was refused")


def wait_until_parked(polls: list[socket.socket]):
    time.sleep(2)
    epoll = select.epoll()
    for poll in polls:
        epoll.register(poll, select.EPOLLIN)
    if early := epoll.poll(0):
        raise RuntimeError(f"{len(early)} polls were not parked")
    epoll.close()


def close_all(connections: list[socket.socket]):
    for connection in connections:
        connection.close()
    time.sleep(1)
