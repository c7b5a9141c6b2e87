"""The journal: each signal is placed at most once, and none is lost without being reported."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import Opener
from registry import Proxy, ProxyAnswer, Registry

from device_registry import (
    Acknowledgement,
    Credentials,
    DeviceClient,
    DeviceSignal,
    Journal,
    JournalError,
    OwnerClient,
)

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)


def a_signal(id: str, expires_in: timedelta = timedelta(hours=1)) -> DeviceSignal:
    return DeviceSignal(id=id, created_at=NOW, expires_at=NOW + expires_in, payload={"symbol": "EURUSD", "id": id})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", "device") as journal:
        yield journal


def test_a_signal_goes_through_its_states_once(journal: Journal) -> None:
    signal = a_signal("one")
    assert journal.begin(signal) is None, "it was not seen"
    assert journal.see([signal, a_signal("two")]) == [signal, a_signal("two")]
    order = journal.begin(signal)
    assert order is not None
    assert journal.begin(signal) is None
    assert journal.see([signal]) == []
    assert [unfinished.signal for unfinished in journal.unfinished()] == [signal]
    order.placed(42)
    assert order.is_finished
    for again in ("placed", "failed", "skipped"):
        with pytest.raises(JournalError, match="has an outcome already"):
            getattr(order, again)("x")
    assert journal.unfinished() == []
    assert journal.unacknowledged(10) == [Acknowledgement("one", "placed", "42")]
    journal.acknowledge(["one", "two", "three"])
    assert journal.unacknowledged(10) == []
    assert journal.see([signal]) == []
    assert journal.begin(signal) is None


def test_it_survives_closing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, "device") as journal:
        journal.see([a_signal("intent"), a_signal("done"), a_signal("seen")])
        journal.begin(a_signal("intent"))
        order = journal.begin(a_signal("done"))
        assert order is not None
        order.failed("no money")
    with Journal(path, "device") as journal:
        (unfinished,) = journal.unfinished()
        assert unfinished.signal == a_signal("intent")
        unfinished.placed("7")
        assert {ack.signal_id: ack.status for ack in journal.unacknowledged(10)} == {"intent": "placed", "done": "failed"}
        assert journal.see([a_signal("seen"), a_signal("done")]) == [a_signal("seen")]


def test_expired_signals_are_forgotten_when_the_registry_knows_them(journal: Journal) -> None:
    signals = [a_signal(id) for id in ("seen", "intent", "done", "acknowledged")]
    journal.see(signals)
    for signal in signals[1:]:
        order = journal.begin(signal)
        assert order is not None
        if signal.id != "intent":
            order.placed()
    journal.acknowledge(["acknowledged"])

    def kept() -> set[object]:
        return {row[0] for row in journal._read("SELECT id FROM signals")}

    journal.forget(NOW + timedelta(hours=1, minutes=59))
    assert len(kept()) == 4
    journal.forget(NOW + timedelta(hours=2, minutes=1))
    assert kept() == {"intent", "done"}


def test_one_process_has_a_journal_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, "device"):
        other = subprocess.run(
            [sys.executable, "-c", f"from device_registry import Journal; Journal({str(path)!r}, 'device')"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "used by another process" in other.stderr
        with pytest.raises(JournalError, match="used by another process"):
            Journal(path, "device")
    Journal(path, "device").close()
    with pytest.raises(JournalError, match="another device"):
        Journal(path, "other")


def test_a_file_that_is_no_journal_or_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"this is not an SQLite file, but a text" * 100)
    with pytest.raises(JournalError):
        Journal(path, "device")
    with pytest.raises(JournalError):
        Journal(tmp_path / "none" / "journal", "device")
    journal = Journal(tmp_path / "closed", "device")
    journal.close()
    with pytest.raises(JournalError):
        journal.see([a_signal("one")])


def test_a_full_disk_begins_nothing(journal: Journal) -> None:
    journal.see([a_signal("one")])
    journal._database.execute("PRAGMA max_page_count = 1")
    large = DeviceSignal(id="large", created_at=NOW, expires_at=NOW, payload={"x": "x" * 100_000})
    with pytest.raises(JournalError, match="full"):
        journal.see([large])
    journal._database.execute("PRAGMA query_only = 1")
    with pytest.raises(JournalError):
        journal.begin(a_signal("one"))
    journal._database.execute("PRAGMA query_only = 0")
    assert journal.begin(a_signal("one")) is not None


def test_orders_are_placed_once_and_acknowledged(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener, tmp_path: Path
) -> None:
    device = open_device(registry.url, credentials)
    sent = [owner.send({"number": number}, all=True).id for number in range(3)]
    with Journal(tmp_path / "journal", device.id) as journal:
        orders = device.orders(journal, wait=1)
        placed = []
        for order in orders:
            placed.append(order.id)
            if len(placed) == 2:
                order.failed("no money")
            elif len(placed) == 3:
                order.skipped("no time")
            else:
                order.placed(1)
            if len(placed) == 3:
                sent.append(owner.send({"number": 3}, all=True).id)
            if len(placed) == 4:
                break
        assert placed == sent
    statuses = [owner.signal(id).deliveries[0].status for id in sent]
    assert statuses == ["placed", "failed", "skipped", None]
    # The last outcome was on the disk, and the next start acknowledges it.
    with Journal(tmp_path / "journal", device.id) as journal:
        late = owner.send({}, all=True).id
        assert next(device.orders(journal, wait=1)).id == late
    assert owner.signal(sent[3]).deliveries[0].status == "placed"
    with Journal(tmp_path / "journal", device.id) as journal:
        last = owner.send({}, all=True).id
        assert next(device.orders(journal, wait=1)).id == last
    (delivery,) = owner.signal(late).deliveries
    assert (delivery.status, delivery.error) == ("failed", "state unknown after a restart")


def test_what_the_registry_would_refuse_is_shortened(device: DeviceClient, owner: OwnerClient, tmp_path: Path) -> None:
    """Or the acknowledgement would be refused, again after each restart."""
    sent = [owner.send({}, all=True).id for _ in range(40)]
    with Journal(tmp_path / "journal", device.id) as journal:
        signals = journal.see(device.poll(max=100).signals)
        for signal in signals:
            order = journal.begin(signal)
            assert order is not None
            order._finish("failed", "9" * 100, "\x01\0\ud800" * 1000)
        last = owner.send({}, all=True)
        assert next(device.orders(journal, max=100)).id == last.id
        assert journal.unacknowledged(100) == []
    (delivery,) = owner.signal(sent[-1]).deliveries
    assert (delivery.status, delivery.broker_ticket) == ("failed", "9" * 64)
    assert delivery.error == ("\x01 ?" * 1000)[:500]


def test_an_order_needs_an_outcome_and_the_right_journal(device: DeviceClient, owner: OwnerClient, tmp_path: Path) -> None:
    owner.send({}, all=True)
    owner.send({}, all=True)
    with Journal(tmp_path / "journal", device.id) as journal:
        orders = device.orders(journal)
        next(orders)
        with pytest.raises(JournalError, match="no outcome"):
            next(orders)
    with Journal(tmp_path / "other", "other") as journal, pytest.raises(JournalError, match="another device"):
        next(device.orders(journal))


def test_a_signal_that_expired_meanwhile_is_skipped(
    device: DeviceClient, owner: OwnerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = owner.send({}, all=True, ttl_seconds=60)
    new = owner.send({}, all=True, ttl_seconds=3600)
    later = device.now() + timedelta(seconds=61)
    monkeypatch.setattr(DeviceClient, "now", lambda self: later)
    with Journal(tmp_path / "journal", device.id) as journal:
        assert next(device.orders(journal)).id == new.id
    (delivery,) = owner.signal(old.id).deliveries
    assert (delivery.status, delivery.error) == ("skipped", "expired before it was placed")


def test_a_bad_answer_changes_nothing_on_the_disk(
    owner: OwnerClient, credentials: Credentials, proxy: Proxy, tmp_path: Path
) -> None:
    owner.send({}, all=True)
    with DeviceClient(proxy.url, credentials) as device, Journal(tmp_path / "journal", device.id) as journal:
        forged = (
            b'{"signals":[{"id":"x","created_at":"2026-11-29T10:00:00Z","expires_at":"2036-11-29T10:00:00Z","payload":{}}]}'
        )
        for answer in [
            ProxyAnswer(200, {"Content-Type": "application/json"}, forged),
            ProxyAnswer(200, {"Content-Type": "text/html"}, b"<html>"),
        ]:
            proxy.change = lambda original, answer=answer: ProxyAnswer(200, answer.fields, answer.body)  # type: ignore[misc]
            with pytest.raises(Exception, match="ignored"):
                next(device.orders(journal))
            proxy.change = lambda original, answer=answer: ProxyAnswer(200, original.fields, answer.body)  # type: ignore[misc]
            with pytest.raises(Exception, match="ignored"):
                next(device.orders(journal))
        assert journal._read("SELECT * FROM signals") == []


def test_a_killed_program_places_each_signal_at_most_once_and_loses_none(
    registry: Registry, owner: OwnerClient, tmp_path: Path
) -> None:
    """It is killed with SIGKILL dozens of times, at each place between two writes."""
    device = owner.register("EA")
    device.save(tmp_path / "key")
    broker = tmp_path / "broker"
    broker.touch()
    sent = [owner.send({"number": number}, all=True).id for number in range(50)]
    late: list[str] = []
    sender = threading.Timer(1, lambda: late.extend(owner.send({"late": n}, all=True).id for n in range(30)))
    sender.start()
    program = Path(__file__).parent / "placing.py"
    arguments = [registry.url, tmp_path / "key", tmp_path / "journal", broker, "80"]
    done = subprocess.run(
        [sys.executable, program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True, timeout=100
    )
    sender.join()
    assert int(done.stdout) >= 60, "it was killed too rarely"
    orders = broker.read_text().splitlines()
    assert len(orders) == len(set(orders)), "an order was placed twice"
    for id in sent + late:
        (delivery,) = owner.signal(id).deliveries
        assert delivery.state == "acked"
        if id in orders:
            assert (delivery.status, delivery.broker_ticket) == ("placed", str(orders.index(id) + 1))
        else:
            assert (delivery.status, delivery.error) == ("failed", "state unknown after a restart")
    assert os.path.getsize(tmp_path / "journal") > 0
