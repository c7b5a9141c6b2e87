"""What devices did, on the real service."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from conftest import Opener
from registry import Registry

from device_registry import DeviceClient, DeviceNotFound, InvalidValue, Statistics


def test_statistics(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    owner.put_group("desk")
    device = owner.register("EA", groups=["desk"])
    sent = owner.send({}, all=True)
    with DeviceClient(registry.url, device.credentials()) as terminal:
        assert terminal.poll().signals[0].id == sent.id
        terminal.ack(sent.id, "placed")

    def total(found: list[Statistics]) -> tuple[int, int, int]:
        return sum(one.polls for one in found), sum(one.signals for one in found), sum(one.placed for one in found)

    end = time.monotonic() + 30
    while total(list(owner.device_statistics(device.id))) != (1, 1, 1):
        assert time.monotonic() < end
        time.sleep(0.05)
    found = list(owner.device_statistics(device.id, start=datetime.now(timezone.utc) - timedelta(days=2), step="day"))
    assert found[-1].from_.hour == 0
    assert found[-1].device_id is None
    assert found[-1].acked_ms.p50 == found[-1].acked_ms.max is not None
    assert [one.device_id for one in owner.statistics(by="device")] == [device.id] * len(found)
    assert {one.group for one in owner.statistics(by="group", step="day")} == {"desk"}
    assert total(list(owner.statistics())) == (1, 1, 1)
    with pytest.raises(InvalidValue):
        list(owner.statistics(end=datetime(1970, 1, 1, tzinfo=timezone.utc)))
    with pytest.raises(DeviceNotFound):
        list(owner.device_statistics("00000000-0000-7000-8000-000000000000"))
