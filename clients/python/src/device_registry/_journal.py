"""What a device did with each signal, on the disk: so that a signal is placed at most once, over crashes and restarts."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import TypeVar, cast

from ._errors import JournalError
from ._models import Acknowledgement, AckStatus, DeviceSignal

T = TypeVar("T")

UNKNOWN_AFTER_RESTART = "state unknown after a restart"
"""The error of an order that was begun before a crash, and that was not found at the broker."""
_FORGET_AFTER = timedelta(hours=1)
"""How long after its expiry an acknowledged signal is kept: the registry never sends it again."""
_MAXIMUM_TICKET_CHARACTERS = 64
_MAXIMUM_ERROR_CHARACTERS = 500
_VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS device (id TEXT NOT NULL, version INTEGER NOT NULL, instance TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS signals (
  id TEXT PRIMARY KEY NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('seen', 'intent', 'done', 'acknowledged')),
  created_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  payload TEXT NOT NULL,
  status TEXT CHECK (status IN ('placed', 'failed', 'skipped')),
  broker_ticket TEXT,
  error TEXT,
  CHECK ((state IN ('done', 'acknowledged')) = (status IS NOT NULL))
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS signals_by_state ON signals (state, created_at) WHERE state IN ('intent', 'done');
"""


class Order:
    """A signal that is being placed. Its intent is on the disk: it is never begun again. Say how it ended, with exactly one of
    `placed`, `failed` and `skipped`, which returns when that is on the disk, too."""

    def __init__(self, journal: Journal, signal: DeviceSignal) -> None:
        self.signal = signal
        """What the owner sent."""
        self.is_finished = False
        self._journal = journal

    @property
    def id(self) -> str:
        """The signal's id: give the broker as much of it as its comment field holds, to find the order after a crash."""
        return self.signal.id

    def placed(self, broker_ticket: str | int | None = None) -> None:
        """The broker took the order, with this number."""
        self._finish("placed", None if broker_ticket is None else str(broker_ticket), None)

    def failed(self, error: str) -> None:
        """There is no order, for this reason."""
        self._finish("failed", None, error)

    def skipped(self, reason: str | None = None) -> None:
        """The device chose to place no order."""
        self._finish("skipped", None, reason)

    def _finish(self, status: AckStatus, broker_ticket: str | None, error: str | None) -> None:
        self._journal.finish(Acknowledgement(self.id, status, broker_ticket, error))
        self.is_finished = True

    def __repr__(self) -> str:
        return f"Order({self.signal!r}, is_finished={self.is_finished})"


class Journal:
    """A file that says what a device did with each signal. `DeviceClient.orders` uses it:

        with Journal("ea.journal", device.id) as journal:
            for order in device.orders(journal):
                order.placed(place(order.signal.payload))

    A signal is *seen* when it arrives, *intent* before its order is placed, *done* after that, and *acknowledged* when the
    registry knows it. Each step is on the disk before the next one begins. After a crash between intent and done, nobody knows
    whether there is an order: see `unfinished`.

    One process has a journal at a time: another one that opens it raises `JournalError`. Any thread may use it. It is an SQLite
    file; keep it on a local disk. It forgets signals an hour after they expired, so it does not grow without limit.
    """

    def __init__(self, path: str | os.PathLike[str], device_id: str) -> None:
        self._lock = threading.Lock()
        self._path = os.fspath(path)
        self.device_id = device_id
        self._database = self._attempt(
            lambda: sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        )
        try:
            self._attempt(self._open)
        except JournalError:
            self._database.close()
            raise

    def _open(self) -> None:
        run = self._database.execute
        # The lock is held until the journal is closed or the process ends.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        # Each commit is on the disk when it returns.
        run("PRAGMA synchronous = FULL")
        run("BEGIN EXCLUSIVE")
        for statement in _TABLES.split(";"):
            run(statement)
        row = run("SELECT id, version, instance FROM device").fetchone()
        if row is None:
            row = (self.device_id, _VERSION, secrets.token_urlsafe(16))
            run("INSERT INTO device VALUES (?, ?, ?)", row)
        if row[:2] != (self.device_id, _VERSION):
            raise JournalError(f"{self._path} is the journal of another device, {row[0]}, or of a newer version")
        self.instance: str = row[2]
        """Names the program that has this journal, also after a restart: it takes the lease on the device."""
        run("COMMIT")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def see(self, signals: Iterable[DeviceSignal]) -> list[DeviceSignal]:
        """Writes that signals arrived. Returns those that were not begun yet."""
        signals = list(signals)
        rows = [
            (signal.id, signal.created_at.timestamp(), signal.expires_at.timestamp(), json.dumps(dict(signal.payload)))
            for signal in signals
        ]
        with self._lock:
            self._attempt(lambda: self._see(rows))
        marks = ", ".join("?" * len(signals))
        ids = [signal.id for signal in signals]
        unbegun = self._read(f"SELECT id FROM signals WHERE state = 'seen' AND id IN ({marks})", *ids)  # noqa: S608
        return [signal for signal in signals if (signal.id,) in unbegun]

    def _see(self, rows: list[tuple[str, float, float, str]]) -> None:
        # One commit for all.
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(
                "INSERT INTO signals (id, state, created_at, expires_at, payload) VALUES (?, 'seen', ?, ?, ?) "
                "ON CONFLICT (id) DO NOTHING",
                rows,
            )
            self._database.execute("COMMIT")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def begin(self, signal: DeviceSignal) -> Order | None:
        """Writes the intent to place a signal's order. None if it was begun before, or was not seen: then place nothing."""
        count = self._write("UPDATE signals SET state = 'intent' WHERE id = ? AND state = 'seen'", signal.id)
        return Order(self, signal) if count == 1 else None

    def finish(self, outcome: Acknowledgement) -> None:
        """Writes how an order ended, or that a signal was not begun at all. Raises `JournalError` if it has an outcome.

        Text that the registry would refuse is shortened: or no acknowledgement would arrive.
        """
        count = self._write(
            "UPDATE signals SET state = 'done', status = ?, broker_ticket = ?, error = ? "
            "WHERE id = ? AND state IN ('seen', 'intent')",
            outcome.status,
            _accepted(outcome.broker_ticket, _MAXIMUM_TICKET_CHARACTERS),
            _accepted(outcome.error, _MAXIMUM_ERROR_CHARACTERS),
            outcome.signal_id,
        )
        if count != 1:
            raise JournalError(f"the signal {outcome.signal_id} has an outcome already, or was never seen")

    def unfinished(self) -> list[Order]:
        """The orders that were begun, and whose outcome is unknown because the program ended. Look for each at the broker: say
        `placed` if it is there, and `failed` if it is not. Do not place it again: it may still be on its way."""
        rows = self._read("SELECT id, created_at, expires_at, payload FROM signals WHERE state = 'intent' ORDER BY created_at")
        return [
            Order(
                self,
                DeviceSignal(
                    id=str(id), created_at=_time(created_at), expires_at=_time(expires_at), payload=json.loads(str(payload))
                ),
            )
            for id, created_at, expires_at, payload in rows
        ]

    def unacknowledged(self, limit: int) -> list[Acknowledgement]:
        """Outcomes that the registry does not know yet, oldest first."""
        rows = self._read(
            "SELECT id, status, broker_ticket, error FROM signals WHERE state = 'done' ORDER BY created_at LIMIT ?", limit
        )
        return [Acknowledgement(*cast("tuple[str, AckStatus, str | None, str | None]", row)) for row in rows]

    def acknowledge(self, ids: Iterable[str]) -> None:
        """Writes that the registry knows the outcomes of these signals."""
        for id in ids:
            self._write("UPDATE signals SET state = 'acknowledged' WHERE id = ? AND state = 'done'", id)

    def forget(self, now: datetime) -> None:
        """Forgets signals that expired long ago and are acknowledged or were never begun. `now` is the registry's time, from a
        signed answer: by a wrong clock, signals that the registry sends again would be forgotten."""
        self._write(
            "DELETE FROM signals WHERE expires_at < ? AND state IN ('acknowledged', 'seen')",
            (now - _FORGET_AFTER).timestamp(),
        )

    def _write(self, statement: str, *values: str | float | None) -> int:
        with self._lock:
            return self._attempt(lambda: self._database.execute(statement, values).rowcount)

    def _read(self, statement: str, *values: str | int) -> list[tuple[object, ...]]:
        with self._lock:
            return self._attempt(lambda: self._database.execute(statement, values).fetchall())

    def _attempt(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise JournalError(f"{self._path} is used by another process, which may place orders") from None
            raise JournalError(f"{self._path} cannot be used: {error}") from error
        except sqlite3.Error as error:
            raise JournalError(f"{self._path} cannot be used: {error}") from error


def _accepted(text: str | None, characters: int) -> str | None:
    """Text that the registry accepts in an acknowledgement."""
    return None if text is None else text.encode(errors="replace").decode().replace("\0", " ")[:characters]


def _time(seconds: object) -> datetime:
    return datetime.fromtimestamp(cast(float, seconds), timezone.utc)
