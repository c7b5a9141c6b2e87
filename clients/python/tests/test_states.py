"""Suspension, expiry, revocation and deletion: the owner's calls, and the truth for the device."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from conftest import Opener
from registry import Registry

from device_registry import (
    ClientEmailTaken,
    ClientSuspended,
    Credentials,
    DeviceClient,
    DeviceNotFound,
    DeviceNotRevoked,
    DeviceRevoked,
    DeviceSuspended,
    InvalidArgument,
    OwnerClient,
    SignatureInvalid,
)


def test_a_suspended_device_learns_why_and_until_when(
    registry: Registry, token: str, open_owner: Opener, credentials: Credentials
) -> None:
    owner = open_owner(registry.url, token)
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    suspended = owner.suspend(credentials.id, reason="unpaid", until=until)
    assert (suspended.status, suspended.status_reason, suspended.suspended_until) == ("suspended", "unpaid", until)
    assert not suspended.is_active
    with DeviceClient(registry.url, credentials) as device:
        with pytest.raises(DeviceSuspended) as caught:
            device.poll()
        assert (caught.value.status, caught.value.reason, caught.value.until) == (403, "unpaid", until)
        assert caught.value.is_signed
        assert not caught.value.is_transient
        # Who does not know the secret learns nothing.
        with (
            DeviceClient(registry.url, Credentials(credentials.id, "0" * 64)) as stranger,
            pytest.raises(SignatureInvalid),
        ):
            stranger.poll()
        assert owner.resume(credentials.id).status == "active"
        assert device.whoami().is_active
    with pytest.raises(InvalidArgument, match="time zone"):
        owner.suspend(credentials.id, until=datetime(2030, 1, 1))


def test_a_suspension_ends_a_parked_poll(owner: OwnerClient, device: DeviceClient) -> None:
    raised: list[Exception] = []

    def poll() -> None:
        try:
            device.poll(wait=30)
        except DeviceSuspended as error:
            raised.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    while owner.device(device.id).last_poll is None:
        time.sleep(0.01)
    owner.suspend(device.id)
    thread.join(10)
    assert len(raised) == 1


def test_a_revoked_device_is_deleted(registry: Registry, token: str, open_owner: Opener, credentials: Credentials) -> None:
    owner = open_owner(registry.url, token)
    with pytest.raises(DeviceNotRevoked):
        owner.delete(credentials.id)
    owner.revoke(credentials.id, reason="sold")
    with DeviceClient(registry.url, credentials) as device, pytest.raises(DeviceRevoked) as caught:
        device.whoami()
    assert (caught.value.status, caught.value.is_signed) == (403, True)
    with pytest.raises(DeviceRevoked) as conflict:
        owner.suspend(credentials.id)
    assert (conflict.value.status, conflict.value.is_signed) == (409, False)
    owner.delete(credentials.id)
    with pytest.raises(DeviceNotFound):
        owner.device(credentials.id)


def test_a_suspended_client_and_its_devices_are_refused(registry: Registry, open_owner: Opener) -> None:
    id = f"client-{uuid.uuid4().hex[:8]}"
    administrator = open_owner(registry.url, registry.token("administrator", scope="registry:admin"))
    with OwnerClient(registry.url, registry.token(id)) as owner:
        credentials = owner.register("EA").credentials()
        email = f"{id}@example.com"
        changed = administrator.update_client(id, email=email, max_devices=7)
        assert (changed.email, changed.max_devices, changed.device_count) == (email, 7, 1)
        assert administrator.update_client(id, max_devices=None).max_devices is None
        other = administrator.add_client(max_devices=1)
        assert other.max_devices == 1
        with pytest.raises(ClientEmailTaken):
            administrator.update_client(other.id, email=email)
        suspended = administrator.suspend_client(id, reason="fraud")
        assert (suspended.status, suspended.status_reason) == ("suspended", "fraud")
        with pytest.raises(ClientSuspended) as caught:
            owner.events()
        assert caught.value.reason == "fraud"
        with DeviceClient(registry.url, credentials) as device:
            with pytest.raises(ClientSuspended) as signed:
                device.poll()
            assert signed.value.is_signed
            assert administrator.resume_client(id).status == "active"
            assert device.poll().signals == ()
        assert owner.events(types=["client.resumed"]).events


def test_signals_continue_after_a_suspension_that_has_an_end(owner: OwnerClient, device: DeviceClient) -> None:
    sent = owner.send({}, all=True)
    owner.suspend(device.id, until=datetime.now(timezone.utc) + timedelta(hours=1))
    failures: list[Exception] = []

    def resume(error: Exception) -> None:
        failures.append(error)
        owner.resume(device.id)

    assert next(device.signals(on_failure=resume)).id == sent.id
    assert [type(error) for error in failures] == [DeviceSuspended]
    owner.suspend(device.id)
    with pytest.raises(DeviceSuspended):
        next(device.signals())
