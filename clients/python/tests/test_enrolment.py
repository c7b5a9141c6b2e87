"""Enrolment: a terminal gets its device and secret with a code that works once."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import Opener
from registry import Registry

from device_registry import (
    Credentials,
    DeviceClient,
    DeviceNameTaken,
    DeviceRevoked,
    EnrolmentInvalid,
    EnrolmentNotFound,
    GroupNotFound,
    InvalidArgument,
    OwnerClient,
    RegisteredDevice,
    SecretAlreadyShown,
    SignatureInvalid,
)


def test_a_code_makes_a_device_once(registry: Registry, token: str, open_owner: Opener, enrol: Any, tmp_path: Path) -> None:
    owner = open_owner(registry.url, token)
    (issued,) = owner.create_enrolments(device_name="EA-Paris", expires_in=60)
    assert issued.code not in repr(issued)
    assert 50 < issued.expires_at.timestamp() - time.time() < 70
    enrolled: RegisteredDevice = enrol(registry.url, issued.code.lower().replace("-", " "))
    assert enrolled.device_name == "EA-Paris"
    enrolled.save(tmp_path / "key")
    with DeviceClient(registry.url, Credentials.from_file(tmp_path / "key")) as device:
        assert device.whoami().id == enrolled.id
    with pytest.raises(EnrolmentInvalid) as caught:
        enrol(registry.url, issued.code)
    assert caught.value.status == 401
    (enrolment,) = owner.enrolments()
    assert (enrolment.id, enrolment.status, enrolment.device_id) == (issued.id, "used", enrolled.id)


def test_many_codes(registry: Registry, token: str, open_owner: Opener, enrol: Any) -> None:
    owner = open_owner(registry.url, token)
    issued = owner.create_enrolments(count=3, device_name="EA", idempotency_key="codes")
    assert len({enrolment.code for enrolment in issued}) == 3
    with pytest.raises(SecretAlreadyShown):
        owner.create_enrolments(count=3, device_name="EA", idempotency_key="codes")
    names = [enrol(registry.url, enrolment.code).device_name for enrolment in issued[:2]]
    assert len(set(names)) == 2
    with pytest.raises(DeviceNameTaken):
        enrol(registry.url, issued[2].code, device_name=names[0])
    owner.delete_enrolment(issued[2].id)
    with pytest.raises(EnrolmentInvalid):
        enrol(registry.url, issued[2].code)
    with pytest.raises(EnrolmentNotFound):
        owner.delete_enrolment(str(uuid.uuid4()))


def test_a_terminal_moves(registry: Registry, token: str, open_owner: Opener, enrol: Any) -> None:
    owner = open_owner(registry.url, token)
    registered = owner.register("EA")
    issued = owner.create_device_enrolment(registered.id)
    assert issued.device_id == registered.id
    moved = enrol(registry.url, issued.code, idempotency_key="move")
    assert moved.id == registered.id
    with pytest.raises((SecretAlreadyShown, EnrolmentInvalid)):
        enrol(registry.url, issued.code, idempotency_key="move")
    with DeviceClient(registry.url, registered.credentials()) as device, pytest.raises(SignatureInvalid):
        device.whoami()
    with DeviceClient(registry.url, moved.credentials()) as device:
        assert device.whoami().device_name == "EA"
    owner.revoke(registered.id)
    with pytest.raises(DeviceRevoked):
        owner.create_device_enrolment(registered.id)


def test_a_code_is_not_sent_over_plain_http(owner: OwnerClient, enrol: Any) -> None:
    with pytest.raises(InvalidArgument):
        enrol("http://192.0.2.1", "AAAA")


def test_a_device_is_made_as_its_code_says(registry: Registry, token: str, open_owner: Opener, enrol: Any) -> None:
    owner = open_owner(registry.url, token)
    owner.put_group("desk")
    end = datetime(2099, 1, 1, tzinfo=timezone.utc)
    (issued,) = owner.create_enrolments(labels={"role": "primary"}, groups=["desk"], device_expires_at=end)
    (listed,) = owner.enrolments()
    assert (listed.labels, listed.groups, listed.device_expires_at) == ({"role": "primary"}, ("desk",), end)
    enrolled: RegisteredDevice = enrol(registry.url, issued.code)
    assert (enrolled.labels, enrolled.groups, enrolled.expires_at) == ({"role": "primary"}, ("desk",), end)
    with pytest.raises(GroupNotFound):
        owner.create_enrolments(groups=["none"])
