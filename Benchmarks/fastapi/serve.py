"""serve.py PORT WORKERS: WORKERS processes with uvicorn, each with a separate listening socket (SO_REUSEPORT), so
that the kernel deals out the connections among them."""
import multiprocessing
import signal
import socket
import sys
from multiprocessing import connection

import uvicorn


def work(port: int):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    configuration = uvicorn.Config("app:app", loop="uvloop", http="httptools", access_log=False, log_level="warning",
                                   proxy_headers=False, backlog=4096)
    uvicorn.Server(configuration).run(sockets=[listener])


def main(port: int, count: int):
    workers = [multiprocessing.Process(target=work, args=(port,), daemon=True) for _ in range(count)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        for worker in workers:
            worker.start()
        connection.wait([worker.sentinel for worker in workers])
    finally:
        for worker in workers:
            worker.terminate()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
