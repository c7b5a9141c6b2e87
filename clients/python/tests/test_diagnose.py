"""Why does my signature not verify?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from conftest import Opener
from registry import Registry

from device_registry import Credentials, DeviceNotFound
from device_registry._signing import sign_request

POLL = "/api/v1/device/poll?wait=0"


def test_mistakes_are_named(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    registered = owner.register("EA")
    credentials = registered.credentials()
    now = int(time.time())
    good = sign_request(credentials, "GET", POLL, b"", nonce="nonce-nonce", created=now)
    assert owner.diagnose(registered.id, "GET", POLL, good).verifies
    assert owner.diagnose(registered.id, "GET", POLL, list(good.items())).findings == ()
    body = b'{"acks":[]}'
    ack = sign_request(credentials, "POST", "/api/v1/device/ack", body, nonce="nonce-nonce", created=now)
    assert owner.diagnose(registered.id, "POST", "/api/v1/device/ack", ack, body).verifies
    changed = owner.diagnose(registered.id, "POST", "/api/v1/device/ack", ack, body + b"\n")
    assert not changed.verifies
    assert changed.findings[0].message
    # The plain HMAC in place of the proof.
    base = owner.diagnose(registered.id, "GET", POLL, good).signature_base
    assert base is not None
    plain = base64.b64encode(hmac.digest(credentials.keys.stored_key, base.encode(), hashlib.sha256)).decode()
    found = owner.diagnose(registered.id, "GET", POLL, {**good, "Signature": f"sig1=:{plain}:"})
    assert not found.verifies
    assert any(finding.verifies_if_changed for finding in found.findings)
    another = sign_request(Credentials(registered.id, "0" * 64), "GET", POLL, b"", nonce="nonce-nonce", created=now)
    wrong = owner.diagnose(registered.id, "GET", POLL, another)
    assert not wrong.verifies
    assert not any(finding.verifies_if_changed for finding in wrong.findings)
    with pytest.raises(DeviceNotFound):
        owner.diagnose("01a20a5b-1476-7edc-b467-b5e73ebe5877", "GET", POLL, {})
