"""One terminal at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Opener
from registry import Registry

from device_registry import Credentials, DeviceClient, DeviceInUse, InvalidArgument, Journal, OwnerClient, new_instance


def test_one_instance_gets_signals(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener
) -> None:
    one = open_device(registry.url, credentials, instance=new_instance())
    two = open_device(registry.url, credentials, instance="another-terminal")
    sent = owner.send({}, all=True)
    assert one.poll().signals[0].id == sent.id
    holder = owner.device(credentials.id).instance
    assert holder is not None
    with pytest.raises(DeviceInUse) as caught:
        two.poll(wait=20)
    assert (caught.value.status, caught.value.is_signed, caught.value.since) == (409, True, holder.since)
    assert caught.value.last_poll is not None
    with pytest.raises(DeviceInUse):
        next(two.signals())
    assert one.poll().signals
    assert next(two.signals(takeover=True)).id == sent.id
    with pytest.raises(DeviceInUse):
        one.poll()
    now = owner.device(credentials.id).instance
    assert now is not None
    assert now.id == "another-terminal"
    assert two.release() is None
    assert owner.device(credentials.id).instance is None
    assert one.poll().signals
    assert [event.device_id for event in owner.events(types=["device.contended"]).events] == [credentials.id]


def test_without_an_instance_nothing_changes(registry: Registry, owner: OwnerClient, credentials: Credentials) -> None:
    with DeviceClient(registry.url, credentials) as one, DeviceClient(registry.url, credentials) as two:
        sent = owner.send({}, all=True)
        assert one.poll().signals[0].id == two.poll().signals[0].id == sent.id
        with pytest.raises(InvalidArgument):
            one.release()


def test_a_restarted_program_keeps_its_lease_and_another_one_gets_no_orders(
    device: DeviceClient, owner: OwnerClient, tmp_path: Path
) -> None:
    first = owner.send({}, all=True)
    with Journal(tmp_path / "here", device.id) as journal:
        order = next(device.orders(journal))
        assert order.id == first.id
        order.placed()
        instance = journal.instance
    second = owner.send({}, all=True)
    with Journal(tmp_path / "elsewhere", device.id) as elsewhere, pytest.raises(DeviceInUse):
        next(device.orders(elsewhere))
    with Journal(tmp_path / "here", device.id) as journal:
        assert journal.instance == instance
        assert next(device.orders(journal)).id == second.id
        device.release(journal.instance)
    third = owner.send({}, all=True)
    with Journal(tmp_path / "elsewhere", device.id) as elsewhere:
        orders = device.orders(elsewhere)
        received = []
        for order in orders:
            received.append(order.id)
            order.placed()
            if order.id == third.id:
                break
        assert received == [second.id, third.id]
