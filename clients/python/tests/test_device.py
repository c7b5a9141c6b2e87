"""Devices, on the real service, with blocking and asynchronous clients."""

from __future__ import annotations

import pickle
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from conftest import Opener, first
from registry import Proxy, Registry

from device_registry import (
    Acknowledgement,
    Credentials,
    DeviceClient,
    DeviceRevoked,
    InvalidArgument,
    OwnerClient,
    RetryPolicy,
    SecretFileError,
    SignatureInvalid,
)


def test_a_device_asks_who_it_is(registry: Registry, owner: OwnerClient, open_device: Opener) -> None:
    registered = owner.register("EA-Main")
    device = open_device(registry.url, registered.credentials())
    me = device.whoami()
    assert me.id == device.id == registered.id
    assert me.device_name == "EA-Main"
    assert me.is_active
    assert abs((me.server_time - device.now()).total_seconds()) < 10


def test_a_signal_is_polled_until_it_is_acknowledged(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener
) -> None:
    device = open_device(registry.url, credentials)
    assert device.poll().signals == ()
    sent = owner.send({"symbol": "EURUSD", "volume": 0.1, "note": "mère 日本 🚫"}, device_ids=[credentials.id])
    for _ in range(2):
        (signal,) = device.poll(wait=20, max=10).signals
        assert signal.id == sent.id
        assert signal.payload == {"symbol": "EURUSD", "volume": 0.1, "note": "mère 日本 🚫"}
        assert signal.expires_at == sent.expires_at
    unknown = str(uuid.uuid4())
    result = device.ack_all([Acknowledgement(sent.id, "placed", broker_ticket="42"), Acknowledgement(unknown, "skipped")])
    assert result.acked == (sent.id,)
    assert result.unknown == (unknown,)
    assert device.ack(sent.id, "failed", error="too late").acked == (sent.id,)
    assert device.poll().signals == ()
    (delivery,) = owner.signal(sent.id).deliveries
    assert (delivery.state, delivery.status, delivery.broker_ticket) == ("acked", "placed", "42")


def test_a_poll_waits_for_a_signal(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener
) -> None:
    device = open_device(registry.url, credentials)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(device.poll(wait=30).signals))
    thread.start()
    while owner.device(credentials.id).last_poll is None:
        time.sleep(0.01)
    sent = owner.send({}, all=True)
    thread.join(10)
    assert [signal.id for signal in found] == [sent.id]


def test_a_stream_returns_each_signal_once(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener
) -> None:
    device = open_device(registry.url, credentials)
    ids = [owner.send({"number": number}, all=True).id for number in range(3)]
    stream = device.signals(wait=1)
    assert [signal.id for signal in first(3, stream)] == ids
    # None is acknowledged, so each poll returns them again.
    ids.append(owner.send({}, all=True).id)
    again = device.signals(wait=1, max=4)
    received = []
    for signal in again:
        received.append(signal.id)
        if len(received) == 4:
            ids.append(owner.send({}, all=True).id)
            device.ack(ids[0], "placed")
        if len(received) == 5:
            break
    assert received == ids


def test_a_stream_survives_a_restart_of_the_registry(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    patient = RetryPolicy(maximum_attempts=100, maximum_pause_seconds=0.5)
    with OwnerClient(registry.url, registry.token("restart"), retries=patient) as owner:
        credentials = owner.register("EA").credentials()
        with DeviceClient(registry.url, credentials, retries=patient) as device:
            failures: list[Exception] = []
            stream = device.signals(wait=1, on_failure=failures.append)
            before = owner.send({}, all=True)
            assert next(stream).id == before.id
            device.ack(before.id, "placed")
            after = owner.send({}, all=True)
            registry.stop()
            start = threading.Timer(0.5, registry.start)
            start.start()
            assert next(stream).id == after.id
            assert failures
            start.join()
    registry.stop()


def test_a_slow_clock_does_not_wait_long_after_a_crash_of_the_registry(tmp_path: Path) -> None:
    """The registry refuses what was signed before its start, and a clock that is 200 s slow signs that for 205 s."""
    registry = Registry(tmp_path)
    patient = RetryPolicy(maximum_attempts=100, maximum_pause_seconds=0.5)
    with OwnerClient(registry.url, registry.token("crash")) as owner:
        credentials = owner.register("EA").credentials()
    with DeviceClient(registry.url, credentials, retries=patient) as device:
        device._auth.exchange._clock = lambda: time.time() - 200
        device.whoami()
        registry.kill()
        registry.start()
        start = time.monotonic()
        device.whoami()
        assert time.monotonic() - start < 60
        assert abs(device.now().timestamp() - time.time()) < 5
    registry.stop()


def test_a_clock_that_is_a_little_wrong_does_not_matter(device: DeviceClient) -> None:
    device._auth.exchange._clock = lambda: time.time() - 200
    device.whoami()
    assert abs(device.now().timestamp() - time.time()) < 5


@pytest.mark.parametrize("offset", [3600, -23 * 3600, 100, -400])
def test_a_wrong_clock_is_corrected_once(registry: Registry, credentials: Credentials, proxy: Proxy, offset: int) -> None:
    with DeviceClient(proxy.url, credentials) as device:
        device._auth.exchange._clock = lambda: time.time() + offset
        assert device.whoami().id == credentials.id
        requests = len(proxy.requests)
        assert requests == 2
        device.poll()
        assert len(proxy.requests) == 3
        assert abs(device.now().timestamp() - time.time()) < 5


def test_a_clock_that_is_wrong_by_more_than_a_day_is_not_corrected(device: DeviceClient) -> None:
    from device_registry import ClockSkew

    device._auth.exchange._clock = lambda: time.time() - 25 * 3600
    with pytest.raises(ClockSkew) as caught:
        device.whoami()
    assert caught.value.server_time is not None
    assert not caught.value.is_signed


def test_a_wrong_secret_is_refused(registry: Registry, credentials: Credentials, open_device: Opener) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        open_device(registry.url, Credentials(credentials.id, "0" * 64)).whoami()
    assert caught.value.status == 401
    assert caught.value.request_id
    assert "secret" in caught.value.detail
    assert not caught.value.is_transient
    assert not caught.value.is_signed


def test_a_revoked_device_learns_it_in_a_signed_answer(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener
) -> None:
    owner.revoke(credentials.id)
    with pytest.raises(DeviceRevoked) as caught:
        open_device(registry.url, credentials).poll()
    assert (caught.value.status, caught.value.is_signed, caught.value.is_transient) == (403, True, False)


def test_a_rotated_secret_replaces_the_old_one(registry: Registry, owner: OwnerClient, credentials: Credentials) -> None:
    rotated = owner.rotate(credentials.id, grace_seconds=0)
    with DeviceClient(registry.url, credentials) as device, pytest.raises(SignatureInvalid):
        device.whoami()
    with DeviceClient(registry.url, rotated.credentials()) as device:
        assert device.whoami().id == credentials.id


@pytest.mark.parametrize(
    "call",
    [
        lambda device: device.poll(wait=31),
        lambda device: device.poll(wait=-1),
        lambda device: device.poll(wait=True),
        lambda device: device.poll(max=0),
        lambda device: device.poll(max=101),
        lambda device: next(device.signals(max=0)),
        lambda device: device.ack_all([Acknowledgement(str(uuid.uuid4()), "placed")] * 101),
    ],
)
def test_malformed_arguments_are_refused_before_anything_is_sent(device: DeviceClient, call: Any) -> None:
    device.close()
    with pytest.raises(InvalidArgument):
        call(device)


@pytest.mark.parametrize(
    "url",
    [
        "registry.example.com",
        "ftp://registry.example.com",
        "https://",
        "https://user@registry.example.com",
        "https://registry.example.com/api",
        "https://registry.example.com?x",
        "https://registry.example.com:x",
        "http://registry.example.com",
        "http://127.0.0.1.example.com",
    ],
)
def test_a_url_that_could_leak_is_refused(url: str, credentials: Credentials) -> None:
    with pytest.raises(InvalidArgument):
        DeviceClient(url, credentials)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://[::1]:1", "http://127.0.0.2:1/", "https://[2001:db8::1]"])
def test_urls_of_this_machine_and_https_are_allowed(url: str, credentials: Credentials) -> None:
    DeviceClient(url, credentials).close()
    DeviceClient("http://192.0.2.1", credentials, allow_insecure_http=True).close()


class TestCredentials:
    def test_nothing_shows_the_secret(self, owner: OwnerClient) -> None:
        registered = owner.register("EA")
        credentials = registered.credentials()
        text = f"{registered!r} {credentials!r} {credentials} {[credentials]}"
        assert registered.secret not in text
        assert credentials.keys.client_key.hex() not in repr(credentials.keys)
        with pytest.raises(TypeError):
            pickle.dumps(credentials)

    def test_a_saved_device_is_read_again(self, owner: OwnerClient, tmp_path: Path) -> None:
        registered = owner.register("EA")
        path = tmp_path / "ea.key"
        registered.save(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert Credentials.from_file(path).keys == registered.credentials().keys
        assert Credentials.from_file(path, registered.id.upper()).id == registered.id
        with pytest.raises(SecretFileError, match="exists"):
            registered.save(path)
        with pytest.raises(SecretFileError, match="another device"):
            Credentials.from_file(path, str(uuid.uuid4()))

    @pytest.mark.parametrize(
        ("content", "id"),
        [
            ('{"id": "a1331942-bd19-4a21-8e6d-23b39e2c5a0c", "secret": "' + "ab" * 32 + '", "x": 1}', None),
            ("ab" * 32 + "\r\n", "a1331942-bd19-4a21-8e6d-23b39e2c5a0c"),
        ],
    )
    def test_other_forms_are_read_too(self, content: str, id: str | None, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text(content)
        path.chmod(0o600)
        assert Credentials.from_file(path, id).id == "a1331942-bd19-4a21-8e6d-23b39e2c5a0c"

    @pytest.mark.parametrize("content", ["", "ab" * 32, "{}", '{"id": 1}', "a b c", "a b", "x" * 20_000, "\udcff"])
    def test_other_files_are_refused(self, content: str, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_bytes(content.encode(errors="surrogateescape"))
        path.chmod(0o600)
        with pytest.raises((SecretFileError, InvalidArgument)) as caught:
            Credentials.from_file(path)
        assert "ab" * 32 not in str(caught.value)

    def test_a_file_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text("secret")
        path.chmod(0o644)
        with pytest.raises(SecretFileError, match="chmod 600"):
            Credentials.from_file(path)
        with pytest.raises(SecretFileError, match="No such file"):
            Credentials.from_file(tmp_path / "none")
