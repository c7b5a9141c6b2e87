"""Labels, groups, and finding devices."""

from __future__ import annotations

import csv
import io
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import Opener
from registry import Registry

from device_registry import (
    DeviceClient,
    DeviceExpired,
    DeviceNotFound,
    GroupNotFound,
    InvalidArgument,
    InvalidValue,
    OwnerClient,
    RegisteredDevice,
)


def test_groups(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    group = owner.put_group("vps-1", description="London")
    assert (group.name, group.description, group.devices) == ("vps-1", "London", 0)
    owner.put_group("vps-2")
    assert [found.name for found in owner.groups()] == ["vps-1", "vps-2"]
    device = owner.register("EA", groups=["vps-2"], labels={"role": "primary", "vps": ""})
    assert (device.groups, device.labels) == (("vps-2",), {"role": "primary", "vps": ""})
    owner.add_to_group("vps-1", device.id)
    owner.add_to_group("vps-1", device.id)
    assert owner.device(device.id).groups == ("vps-1", "vps-2")
    assert owner.group("vps-1").devices == 1
    owner.remove_from_group("vps-2", device.id)
    owner.delete_group("vps-2")
    with pytest.raises(GroupNotFound):
        owner.group("vps-2")
    with pytest.raises(GroupNotFound):
        owner.add_to_group("vps-2", device.id)
    with pytest.raises(DeviceNotFound):
        owner.add_to_group("vps-1", "01a20a5b-1476-7edc-b467-b5e73ebe5877")
    with pytest.raises(GroupNotFound):
        owner.register("other", groups=["none"])
    with pytest.raises(InvalidArgument):
        owner.group("..")


def test_labels_are_merged(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    device = owner.register("EA", labels={"a": "1", "b": "2"})
    assert owner.update(device.id, labels={"b": None, "c": "3"}).labels == {"a": "1", "c": "3"}
    assert owner.update(device.id, device_name="EA-2").labels == {"a": "1", "c": "3"}
    assert owner.update(device.id, labels=None).labels == {}
    with pytest.raises(InvalidValue):
        owner.update(device.id, labels={"no blank": "x"})
    with pytest.raises(InvalidValue):
        owner.update(device.id)


def test_a_signal_reaches_a_group_or_labels(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    owner.put_group("g")
    one = owner.register("one", groups=["g"])
    two = owner.register("two", labels={"role": "primary"})
    selectors: list[tuple[dict[str, Any], RegisteredDevice]] = [({"group": "g"}, one), ({"labels": {"role": "primary"}}, two)]
    for selector, expected in selectors:
        sent = owner.send({}, **selector)
        assert [delivery.device_id for delivery in owner.deliveries(sent.id)] == [expected.id]
    with pytest.raises(GroupNotFound):
        owner.send({}, group="none")


def test_devices_are_found(registry: Registry, token: str, open_owner: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = open_owner(registry.url, token)
    monkeypatch.setattr("device_registry._owner_devices.LONG_PAGE", 1)
    owner.put_group("london")
    one = owner.register("EA Main", labels={"role": "primary", "x": "1"}, groups=["london"])
    two = owner.register('Backup, "2"', labels={"role": "backup"})
    three = owner.register("EA main 3", labels={"role": "primary"}, groups=["london"])
    owner.revoke(three.id)
    with DeviceClient(registry.url, two.credentials()) as device:
        device.poll()

    def found(**conditions: object) -> list[str]:
        return [device.id for device in owner.devices(**conditions)]

    assert found() == [one.id, two.id, three.id]
    assert found(status=["active"]) == [one.id, two.id]
    assert found(status=["revoked", "suspended"]) == [three.id]
    assert found(status="revoked") == [three.id]
    assert found(labels={"role": "primary"}) == [one.id, three.id]
    assert found(labels={"role": "primary", "x": None}) == [one.id]
    assert found(group="london", status=["active"]) == [one.id]
    assert found(q="ea MAIN") == [one.id, three.id]
    assert found(q='"2"') == [two.id]
    # Presence is written about once a second.
    while found(online=True) != [two.id]:
        time.sleep(0.05)
    assert found(online=False) == [one.id, three.id]
    now = datetime.now(timezone.utc)
    assert two.id in found(seen_before=now + timedelta(minutes=1))
    assert two.id not in found(seen_before=now - timedelta(minutes=1))
    assert found(mode_confirmed=False, status=["active"]) is not None
    rows = list(csv.DictReader(io.StringIO(owner.devices_csv(q="backup"), newline="")))
    assert [(row["id"], row["device_name"]) for row in rows] == [(two.id, two.device_name)]
    summary = owner.summary()
    assert (summary.total, summary.online) == (3, 1)
    assert summary.by_status["active"] == 2
    assert summary.by_group["london"] in (1, 2)


def test_a_long_list_of_devices_is_csv(owner: OwnerClient) -> None:
    owner.register("=cmd()")
    text = owner.devices_csv()
    header, row = text.splitlines()
    assert header.startswith("id,device_name,status,labels,groups,online,last_seen,trading_mode")
    assert "'=cmd()" in row


def test_an_expired_device_is_refused(registry: Registry, owner: OwnerClient) -> None:
    expires_at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)
    registered = owner.register("EA", expires_at=expires_at)
    with DeviceClient(registry.url, registered.credentials()) as device:
        stream = device.signals(wait=5)
        with pytest.raises(DeviceExpired) as caught:
            next(stream)
        assert (caught.value.expires_at, caught.value.is_signed) == (expires_at, True)
        owner.update(registered.id, expires_at=None)
        assert device.whoami().status == "active"
