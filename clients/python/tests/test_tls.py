"""Certificates."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Kind
from registry import Registry

from device_registry import (
    AsyncDeviceClient,
    AsyncOwnerClient,
    DeviceClient,
    InvalidArgument,
    OwnerClient,
    RetryPolicy,
    Untrusted,
)


def test_only_trusted_certificates_are_accepted(tmp_path: Path, kind: Kind) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    registry = Registry(tmp_path, TLS_CERT_FILE=str(certificate), TLS_KEY_FILE=str(key))
    token = registry.token("owner")
    owner = kind.opener(OwnerClient, AsyncOwnerClient)
    with pytest.raises(Untrusted, match="ca_file"):
        owner(registry.url, token).events()
    registered = owner(registry.url, token, ca_file=str(certificate)).register("EA")
    device = kind.opener(DeviceClient, AsyncDeviceClient)
    assert device(registry.url, registered.credentials(), ca_file=str(certificate)).poll().signals == ()
    with pytest.raises(Untrusted):
        device(registry.url, registered.credentials(), retries=RetryPolicy.never).poll()
    with pytest.raises(InvalidArgument, match="ca_file"):
        OwnerClient(registry.url, token, ca_file=str(tmp_path / "none"))
    registry.stop()
