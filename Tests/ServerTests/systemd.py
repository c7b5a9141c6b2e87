"""Stands in for systemd: passes listening sockets to the program and keeps those that it stores.

    systemd.py PROGRAM FOLDER restarts DATABASE_URL   restarts it three times under load, and prints what clients saw
    systemd.py PROGRAM FOLDER unit ADDRESS            passes it a socket at the address, and prints its first log lines
    systemd.py PROGRAM FOLDER unix                    passes it a local socket, which is refused
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

program, folder, mode = sys.argv[1:4]
BASE = {"PATH": "/usr/bin:/bin", "JWT_SECRET": "0123456789abcdef0123456789abcdef", "ADMIN_LISTEN": ""}


def start(environment, sockets=(), names=(), **streams):
    """Starts the program with the sockets from descriptor 3 on."""
    def place():
        copies = [os.dup(each.fileno()) for each in sockets]
        for index, copy in enumerate(copies):
            os.dup2(copy, 3 + index)

    environment = BASE | environment
    if not sockets:
        return subprocess.Popen([program, "serve"], env=environment, **streams)
    environment |= {"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(names)}
    # The shell tells its process id, which exec keeps.
    return subprocess.Popen(
        ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0" serve', program], env=environment, preexec_fn=place, close_fds=False,
        **streams)


class Systemd:
    """The socket in NOTIFY_SOCKET, and the descriptors that were stored."""

    def __init__(self):
        self.path = folder + "/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(120)
        self.stored, self.names = [], []

    def until(self, state):
        while True:
            message, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 256)
            text = message.decode()
            if text.startswith("FDSTORE=1"):
                name = text.split("FDNAME=")[1]
                self.stored += [socket.socket(fileno=each) for each in descriptors]
                self.names += [name] * len(descriptors)
            if text == state:
                return


def restarts(url):
    systemd = Systemd()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "DATABASE_URL": url, "LISTEN": f"127.0.0.1:{port}", "NOTIFY_SOCKET": systemd.path, "EVENT_LOOPS": "2"}
    with open(folder + "/log", "w") as log:
        process = start(environment, stderr=log)
        systemd.until("READY=1")
        seen = {"answered": 0, "failed": 0, "longest_seconds": 0.0, "restarts": 0}
        lock, ended = threading.Lock(), threading.Event()

        def ask():
            connection = None
            while not ended.is_set():
                begun, is_answered = time.monotonic(), False
                # As every client does: a kept connection that was closed meanwhile is made again.
                for _ in range(2):
                    is_kept = connection is not None
                    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    try:
                        connection.request("GET", "/readyz")
                        answer = connection.getresponse()
                        answer.read()
                        is_answered = answer.status == 200
                        if answer.will_close:
                            connection.close()
                            connection = None
                        break
                    except (http.client.HTTPException, OSError):
                        connection.close()
                        connection = None
                        if not is_kept:
                            break
                with lock:
                    seen["answered" if is_answered else "failed"] += 1
                    seen["longest_seconds"] = max(seen["longest_seconds"], time.monotonic() - begun)
                time.sleep(0.01)

        clients = [threading.Thread(target=ask) for _ in range(8)]
        for client in clients:
            client.start()
        for _ in range(3):
            with lock:
                goal = seen["answered"] + 100
            while seen["answered"] < goal and not seen["failed"]:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            if process.wait() != 0:
                sys.exit("it did not end in order")
            process = start(environment, systemd.stored, systemd.names, stderr=log)
            systemd.until("READY=1")
            seen["restarts"] += 1
        goal = seen["answered"] + 100
        while seen["answered"] < goal and not seen["failed"]:
            time.sleep(0.01)
        ended.set()
        for client in clients:
            client.join()
        process.send_signal(signal.SIGTERM)
        process.wait()
    print(json.dumps(seen))


def unit(listening):
    listening.listen()
    process = start(
        {"DATABASE_URL": f"sqlite:{folder}/registry.db", "LISTEN": "127.0.0.1:1"}, [listening],
        ["device-registry.socket"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        print(line, end="")
        if '"event":"listening"' in line:
            if f'{listening.getsockname()[1]}' not in line:
                sys.exit("it listens elsewhere")
            process.send_signal(signal.SIGTERM)
    process.wait()


if mode == "restarts":
    restarts(sys.argv[4])
elif mode == "unit":
    unit(socket.create_server((sys.argv[4], 0)))
else:
    place = socket.socket(socket.AF_UNIX)
    place.bind(folder + "/unix")
    unit(place)
