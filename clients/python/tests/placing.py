"""A trading program that is killed again and again, for test_journal.py:

    placing.py URL KEY_FILE JOURNAL BROKER_FILE SIGNALS

Forks one child after another, each of which is killed at another place between two writes, until one ends because all signals
are acknowledged. Prints the number of kills. The broker is a file with a line for each order.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from device_registry import Credentials, DeviceClient, DeviceSignal, Journal
from device_registry._journal import UNKNOWN_AFTER_RESTART

PLACES = 20
"""The places from the start of a child where one is killed: enough for the life of more than one signal."""
STEPS = ["see", "begin", "finish", "acknowledge", "forget"]


class Death:
    """Kills the process at its nth place, counted from 1."""

    def __init__(self, place: int) -> None:
        self._left = place

    def may_come(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.may_come()
            result = method(*arguments)
            self.may_come()
            return result

        return call


class Broker:
    def __init__(self, path: str) -> None:
        self._path = path

    def place(self, id: str) -> int:
        with open(self._path, "a") as file:
            file.write(id + "\n")
        return len(self.orders())

    def find(self, signal: DeviceSignal) -> int | None:
        orders = self.orders()
        return orders.index(signal.id) + 1 if signal.id in orders else None

    def orders(self) -> list[str]:
        with open(self._path) as file:
            return file.read().splitlines()


def trade(url: str, key: str, journal_path: str, broker: Broker, signals: int, death: Death) -> None:
    with DeviceClient(url, Credentials.from_file(key)) as device, Journal(journal_path, device.id) as journal:
        for step in STEPS:
            setattr(journal, step, death.around(getattr(journal, step)))
        done = journal._read("SELECT count(*) FROM signals WHERE state <> 'seen'")[0][0]
        orders = device.orders(journal, wait=1, max=3, find=broker.find)
        while done != signals:
            order = next(orders)
            death.may_come()
            ticket = broker.place(order.id)
            death.may_come()
            order.placed(ticket)
            done = int(str(done)) + 1
        # All were begun. The rest is what `orders` does at its start:
        for unfinished in journal.unfinished():
            found = broker.find(unfinished.signal)
            unfinished.failed(UNKNOWN_AFTER_RESTART) if found is None else unfinished.placed(found)
        while acks := journal.unacknowledged(100):
            result = device.ack_all(acks)
            journal.acknowledge([*result.acked, *result.unknown])


def main() -> None:
    url, key, journal, broker_path, signals = sys.argv[1:]
    broker = Broker(broker_path)
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            trade(url, key, journal, broker, int(signals), Death(kills % PLACES + 1))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        kills += 1
    print(kills)


main()
