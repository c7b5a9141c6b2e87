"""What Python developers see of methods that are written as steps."""

from __future__ import annotations

import inspect
import pydoc

from device_registry import AsyncDeviceClient, Credentials, DeviceClient, OwnerClient


def test_help_shows_methods() -> None:
    for client in (DeviceClient, OwnerClient, AsyncDeviceClient):
        for name, member in inspect.getmembers(client, inspect.isroutine):
            assert name.startswith("_") or member.__doc__, name
            assert name.startswith("_") or "Steps" not in str(inspect.signature(member)), name
    text = pydoc.render_doc(DeviceClient, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert "poll(self, *, wait: 'int' = 0" in text
    assert "-> 'Iterator[DeviceSignal]'" in text


def test_methods_are_functions() -> None:
    credentials = Credentials("01a20a5b-1476-7edc-b467-b5e73ebe5877", "0" * 64)
    with DeviceClient("http://localhost:1", credentials) as device:
        assert device.whoami.__name__ == "whoami"
        assert next(iter(inspect.signature(device.poll).parameters)) == "wait"
        assert list(inspect.signature(DeviceClient.poll).parameters)[:2] == ["self", "wait"]
        assert inspect.iscoroutinefunction(AsyncDeviceClient("http://localhost:1", credentials).poll)
