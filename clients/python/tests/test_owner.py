"""Owners and administrators, on the real service, with blocking and asynchronous clients."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Opener
from registry import Registry

import device_registry
from device_registry import (
    ClientIDTaken,
    ClientNotFound,
    DeviceNameTaken,
    DeviceNotFound,
    DeviceRevoked,
    IdempotencyMismatch,
    InsufficientScope,
    InvalidArgument,
    InvalidValue,
    NotOwner,
    OwnerClient,
    Problem,
    SecretAlreadyShown,
    SecretFileError,
    SignalNotFound,
    TokenInvalid,
    TokenUnavailable,
    WebhookNotFound,
)

ROOT = Path(__file__).resolve().parents[3]


def test_a_device_from_registration_to_revocation(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    registered = owner.register("EA-Main")
    assert len(registered.secret) == 64
    assert registered.hmac_key_hash.startswith("$argon2id$")
    assert owner.device(registered.id).device_name == "EA-Main"
    with pytest.raises(DeviceNameTaken) as caught:
        owner.register("EA-Main")
    assert (caught.value.status, caught.value.kind) == (409, "device-name-taken")
    assert owner.update(registered.id, device_name="EA-London").device_name == "EA-London"
    rotated = owner.rotate(registered.id, grace_seconds=60)
    assert rotated.secret != registered.secret
    assert rotated.grace_expires_at is not None
    assert owner.revoke(registered.id, reason="sold") is None
    owner.revoke(registered.id)
    assert owner.device(registered.id).revoked
    with pytest.raises(DeviceRevoked):
        owner.rotate(registered.id)
    (event,) = owner.events(types=["device.revoked"]).events
    assert (event.device_id, event.reason, event.actor.kind) == (registered.id, "sold", "owner")
    assert event.changes == {"status": ["active", "revoked"]}


def test_lists_are_read_page_after_page(
    registry: Registry, token: str, open_owner: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_registry._owner_devices.LONG_PAGE", 2)
    monkeypatch.setattr("device_registry._owner_signals.SHORT_PAGE", 2)
    owner = open_owner(registry.url, token)
    devices = [owner.register(f"EA {number}") for number in range(5)]
    assert [device.id for device in owner.devices()] == [device.id for device in devices]
    signals = [owner.send({"number": number}, all=True) for number in range(5)]
    assert [signal.id for signal in owner.signals()] == [signal.id for signal in reversed(signals)]
    deliveries = list(owner.deliveries(signals[0].id))
    assert {delivery.device_id for delivery in deliveries} == {device.id for device in devices}
    assert all(delivery.state == "pending" and delivery.status is None for delivery in deliveries)


def test_a_signal_reaches_its_devices_alone(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    one, _ = owner.register("one"), owner.register("two")
    sent = owner.send({"symbol": "EURUSD"}, device_ids=[one.id], ttl_seconds=60)
    assert sent.devices == 1
    assert (sent.expires_at - sent.created_at).total_seconds() == 60
    details = owner.signal(sent.id)
    assert details.payload == {"symbol": "EURUSD"}
    assert [delivery.device_id for delivery in details.deliveries] == [one.id]
    with pytest.raises(InvalidArgument):
        owner.send({})
    with pytest.raises(InvalidArgument):
        owner.send({}, all=True, device_ids=[one.id])
    with pytest.raises(InvalidArgument):
        owner.send({"price": float("nan")}, all=True)
    with pytest.raises(InvalidValue) as caught:
        owner.send({}, all=True, ttl_seconds=0)
    assert caught.value.errors[0].field == "ttl_seconds"


def test_others_devices_are_refused(registry: Registry, owner: OwnerClient, open_owner: Opener) -> None:
    device = owner.register("EA")
    signal = owner.send({}, all=True)
    stranger = open_owner(registry.url, registry.token("stranger"))
    calls: list[Callable[[], Any]] = [
        lambda: stranger.device(device.id),
        lambda: stranger.revoke(device.id),
        lambda: stranger.send({}, device_ids=[device.id]),
        lambda: stranger.signal(signal.id),
    ]
    for call in calls:
        with pytest.raises(NotOwner):
            call()
    with pytest.raises(DeviceNotFound):
        stranger.device(str(uuid.uuid4()))
    with pytest.raises(SignalNotFound):
        stranger.signal(str(uuid.uuid4()))
    with pytest.raises(InvalidArgument):
        stranger.device("../clients")


def test_a_key_makes_repeating_safe(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    device = owner.register("EA", idempotency_key="registration")
    with pytest.raises(SecretAlreadyShown) as caught:
        owner.register("EA", idempotency_key="registration")
    assert caught.value.device_id == device.id
    signal = owner.send({}, all=True, idempotency_key="signal")
    assert owner.send({}, all=True, idempotency_key="signal") == signal
    with pytest.raises(IdempotencyMismatch):
        owner.send({"other": 1}, all=True, idempotency_key="signal")
    assert len(list(owner.signals())) == 1
    for key in ["", "a b", "a\n", "x" * 65]:
        with pytest.raises(InvalidArgument):
            owner.send({}, all=True, idempotency_key=key)


def test_the_feed_shows_what_happens(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    one = owner.register("one")
    pages = owner.event_pages(types=["device.*"], limit=1, wait=1)
    first_page = next(pages)
    assert [event.type for event in first_page.events] == ["device.registered"]
    two = owner.register("two")
    ids: list[Any] = []
    while two.id not in ids:
        ids += [event.device_id for event in next(pages).events]
    after_now = owner.event_pages(after="now", wait=5, device_id=one.id)
    assert next(after_now).events == ()
    owner.update(two.id, device_name="three")
    owner.update(one.id, device_name="four")
    (event,) = next(page for page in after_now if page.events).events
    assert event.device_id == one.id
    assert event.changes == {"device_name": ["one", "four"]}
    with pytest.raises(Problem):
        owner.events(after="no cursor")
    with pytest.raises(InvalidArgument):
        owner.events(limit=0)


def test_webhooks(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    created = owner.create_webhook("https://example.invalid/hook", types=["device.*"], description="console")
    assert created.secret.startswith("whsec_")
    assert created.secret not in repr(created)
    assert [webhook.id for webhook in owner.webhooks()] == [created.id]
    changed = owner.update_webhook(created.id, types=None, enabled=False)
    assert (changed.types, changed.status, changed.description) == (None, "disabled", "console")
    assert owner.update_webhook(created.id, description=None).description is None
    assert owner.webhook(created.id).url == "https://example.invalid/hook"
    delivery = owner.test_webhook(created.id)
    assert (delivery.delivered, delivery.status) == (False, None)
    assert delivery.error
    assert list(owner.webhook_deliveries(created.id)) is not None
    page = owner.events()
    assert owner.redeliver(created.id, after=page.next).id == created.id
    owner.delete_webhook(created.id)
    with pytest.raises(WebhookNotFound):
        owner.webhook(created.id)


def test_administrators_manage_clients(registry: Registry, open_owner: Opener) -> None:
    administrator = open_owner(registry.url, registry.token("administrator", scope="registry:admin"))
    id = f"desk/{uuid.uuid4().hex[:8]}"
    client = administrator.add_client(id=id, email=f"{uuid.uuid4().hex}@example.com", telegram_id=42)
    assert administrator.client(id) == client
    assert client in list(administrator.clients())
    with pytest.raises(ClientIDTaken):
        administrator.add_client(id=id)
    assert [event.type for event in administrator.client_events(id).events] == ["client.created"]
    administrator.delete_client(id)
    with pytest.raises(ClientNotFound):
        administrator.client(id)
    assert administrator.client_events(id, types=["client.deleted"]).events
    with pytest.raises(InvalidArgument):
        administrator.client("..")


def test_an_owner_is_no_administrator(owner: OwnerClient) -> None:
    with pytest.raises(InsufficientScope):
        owner.client("anyone")


def test_a_token_is_renewed_before_each_request(registry: Registry, token: str, open_owner: Opener) -> None:
    tokens = iter([token, "no.valid.token"])
    owner = open_owner(registry.url, lambda: next(tokens))
    owner.events()
    with pytest.raises(TokenInvalid):
        owner.events()
    # The function fails.
    with pytest.raises((TokenUnavailable, RuntimeError)):
        owner.events()


def test_a_token_file_is_read_before_each_request(registry: Registry, token: str, open_owner: Opener, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(token + "\n")
    owner = open_owner(registry.url, token_file=str(path))
    owner.events()
    path.write_text("two words")
    with pytest.raises(SecretFileError):
        owner.events()
    with pytest.raises(SecretFileError):
        OwnerClient(registry.url, token_file=str(path))


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Other: b", "ü"])
def test_a_malformed_token_is_not_sent(registry: Registry, token: str) -> None:
    with OwnerClient(registry.url, token) as owner, pytest.raises(InvalidArgument):
        owner.events()


def test_exactly_one_source_of_tokens_is_needed(registry: Registry) -> None:
    with pytest.raises(InvalidArgument):
        OwnerClient(registry.url)
    with pytest.raises(InvalidArgument):
        OwnerClient(registry.url, "token", token_file="file")


def test_each_type_of_problem_has_a_class() -> None:
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    types = document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    kinds = {type.rsplit("/", 1)[-1] for type in types}
    assert kinds - set(Problem._classes) == set(), "add their classes to device_registry/_errors.py"
    assert set(Problem._classes) - kinds == set(), "the registry has no such problems"
    assert {problem.__name__ for problem in Problem._classes.values()} <= set(device_registry.__all__)
