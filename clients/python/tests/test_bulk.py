"""Changes of many devices, and the trading mode from the owner to the device and back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import Opener
from registry import Registry

from device_registry import (
    DeviceClient,
    ExpectationFailed,
    GroupNotFound,
    InvalidArgument,
    Journal,
    OwnerClient,
    RegisteredDevice,
    Select,
    TradingMode,
)


@pytest.fixture
def fleet(owner: OwnerClient) -> list[RegisteredDevice]:
    return [owner.register(f"EA {n}") for n in range(3)]


def test_many_devices_are_changed_at_once(
    registry: Registry, token: str, open_owner: Opener, fleet: list[RegisteredDevice]
) -> None:
    owner = open_owner(registry.url, token)
    ids = [device.id for device in fleet]
    preview = owner.suspend_many(Select(all=True), reason="holiday", dry_run=True)
    assert (preview.matched, preview.changed, preview.dry_run) == (3, 3, True)
    assert owner.device(ids[0]).status == "active"
    with pytest.raises(ExpectationFailed) as caught:
        owner.suspend_many(Select(device_ids=ids[1:]), expect=3)
    assert caught.value.matched == 2
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)
    result = owner.suspend_many(Select(device_ids=ids[1:]), until=until, expect=2)
    assert (result.matched, result.changed, result.unchanged, result.refused) == (2, 2, 0, ())
    assert [device.suspended_until for device in owner.devices()] == [None, until, until]
    assert owner.label_many(Select(device_ids=ids[1:]), {"n": "1", "x": None}).changed == 2
    assert owner.resume_many(Select(labels={"n": "1"})).changed == 2
    assert owner.rename_many({ids[0]: "EA 1", ids[1]: "EA 0"}).changed == 2
    assert [device.device_name for device in owner.devices()] == ["EA 1", "EA 0", "EA 2"]
    owner.label_many(Select(device_ids=ids[:2]), {"n": None, "x": "y"})
    assert [device.labels for device in owner.devices()] == [{"x": "y"}, {"x": "y"}, {"n": "1"}]
    for change in (owner.add_many_to_group, owner.remove_many_from_group):
        with pytest.raises(GroupNotFound):
            change("none", Select(all=True))
    sent = owner.send({}, labels={"x": "y"})
    assert {delivery.device_id for delivery in owner.deliveries(sent.id)} == set(ids[:2])
    with pytest.raises(GroupNotFound):
        owner.send({}, group="none")
    owner.set_expiry(Select(all=True), until)
    assert owner.device(ids[0]).expires_at == until
    owner.set_expiry(Select(all=True), None)
    assert owner.device(ids[0]).expires_at is None
    owner.revoke(ids[0])
    stranger = "01a20a5b-1476-7edc-b467-b5e73ebe5877"
    result = owner.revoke_many(Select(device_ids=[*ids, stranger]), reason="closed")
    assert (result.matched, result.changed, result.unchanged) == (4, 2, 1)
    assert [(refused.device_id, refused.type.rsplit("/", 1)[-1]) for refused in result.refused] == [
        (stranger, "device-not-found")
    ]


@pytest.mark.parametrize("arguments", [{}, {"all": True, "group": "g"}, {"device_ids": [], "labels": {}}])
def test_a_selection_has_exactly_one_condition(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        Select(**arguments)  # type: ignore[arg-type]


def test_a_mode_reaches_the_device_and_is_confirmed(
    registry: Registry, token: str, open_owner: Opener, open_device: Opener, fleet: list[RegisteredDevice]
) -> None:
    owner = open_owner(registry.url, token)
    device = open_device(registry.url, fleet[0].credentials())
    mode = device.whoami().trading_mode
    assert (mode.mode, mode.reason) == ("normal", None)
    assert owner.set_trading_mode(Select(all=True), "halted", reason="news").changed == 3
    polled = device.poll(wait=30).trading_mode
    assert (polled.mode, polled.reason) == ("halted", "news")
    assert polled.version > mode.version
    assert device.ack_all([]).trading_mode == polled
    assert owner.device(fleet[0].id).trading_mode.confirmed_version != polled.version
    device.poll(mode_version=polled.version)
    shown = owner.device(fleet[0].id).trading_mode
    assert (shown.confirmed_version, shown.mode) == (polled.version, "halted")
    assert shown.confirmed_at is not None


def test_a_change_of_mode_ends_a_parked_poll_and_is_confirmed_by_a_stream(
    owner: OwnerClient, fleet: list[RegisteredDevice], registry: Registry
) -> None:
    modes: list[TradingMode] = []
    with DeviceClient(registry.url, fleet[0].credentials()) as device:
        thread = threading.Thread(target=lambda: next(device.signals(wait=25, on_mode=modes.append)))
        thread.start()
        while not modes:
            time.sleep(0.01)
        owner.set_trading_mode(Select(all=True), "close_only")
        deadline = time.monotonic() + 15
        while owner.device(device.id).trading_mode.confirmed_version != 1 + modes[0].version:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [mode.mode for mode in modes] == ["normal", "close_only"]
        owner.send({}, all=True)
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def journal(tmp_path: Path, fleet: list[RegisteredDevice]) -> Iterator[Journal]:
    with Journal(tmp_path / "journal", fleet[0].id) as journal:
        yield journal


def test_no_order_is_placed_while_trading_is_halted(
    owner: OwnerClient, fleet: list[RegisteredDevice], registry: Registry, journal: Journal
) -> None:
    placed: list[str] = []
    with DeviceClient(registry.url, fleet[0].credentials()) as device:
        sent = [owner.send({"number": number}, all=True).id for number in range(3)]

        def trade() -> None:
            for order in device.orders(journal, wait=1):
                placed.append(order.id)
                if len(placed) == 1:
                    # The answer to the acknowledgement of this order shows it, in the middle of the batch.
                    owner.set_trading_mode(Select(all=True), "halted")
                order.placed(len(placed))
                if len(placed) == 3:
                    return

        thread = threading.Thread(target=trade)
        thread.start()
        while owner.device(device.id).trading_mode.confirmed_version is None or not placed:
            time.sleep(0.02)
        while (mode := owner.device(device.id).trading_mode).confirmed_version != mode.version:
            time.sleep(0.02)
        assert placed == sent[:1]
        # Without on_mode, the program is not trusted to open nothing.
        owner.set_trading_mode(Select(all=True), "close_only")
        while (mode := owner.device(device.id).trading_mode).confirmed_version != mode.version:
            time.sleep(0.02)
        assert placed == sent[:1]
        owner.set_trading_mode(Select(all=True), "normal")
        thread.join(15)
        assert placed == sent


def test_a_program_that_obeys_close_only_gets_orders(
    owner: OwnerClient, fleet: list[RegisteredDevice], registry: Registry, journal: Journal
) -> None:
    modes: list[str] = []
    with DeviceClient(registry.url, fleet[0].credentials()) as device:
        owner.set_trading_mode(Select(all=True), "close_only")
        sent = owner.send({}, all=True)
        order = next(device.orders(journal, on_mode=lambda mode: modes.append(mode.mode)))
        assert (order.id, modes) == (sent.id, ["close_only"])


def test_a_halt_cancels_signals(owner: OwnerClient, fleet: list[RegisteredDevice]) -> None:
    sent = owner.send({}, all=True)
    owner.set_trading_mode(Select(device_ids=[fleet[1].id, fleet[2].id]), "halted", cancel_signals=True)
    states = {delivery.device_id: delivery.state for delivery in owner.deliveries(sent.id)}
    assert [states[device.id] for device in fleet] == ["pending", "cancelled", "cancelled"]
