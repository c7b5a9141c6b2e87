"""Cancelling a signal."""

from __future__ import annotations

import uuid

import pytest
from conftest import Opener
from registry import Registry

from device_registry import DeviceClient, SignalNotFound


def test_a_cancelled_signal_is_not_polled(registry: Registry, token: str, open_owner: Opener) -> None:
    owner = open_owner(registry.url, token)
    devices = [owner.register(f"EA {number}") for number in range(3)]
    sent = owner.send({}, all=True)
    with DeviceClient(registry.url, devices[0].credentials()) as device:
        assert device.poll().signals[0].id == sent.id
        device.ack(sent.id, "placed")
    with DeviceClient(registry.url, devices[1].credentials()) as device:
        assert device.poll().signals[0].id == sent.id
        states = {delivery.device_id: delivery for delivery in owner.deliveries(sent.id)}
        # That it was handed out is written within a second.
        assert [states[found.id].state.replace("handed_out", "pending") for found in devices] == ["acked", "pending", "pending"]
        result = owner.cancel(sent.id, reason="news")
        assert (result.cancelled, result.too_late) == (2, 1)
        polled = device.poll()
        assert (polled.signals, polled.cancelled) == ((), (sent.id,))
    states = {delivery.device_id: delivery for delivery in owner.deliveries(sent.id)}
    assert [states[found.id].state for found in devices] == ["acked", "cancelled", "cancelled"]
    assert owner.signal(sent.id).cancelled_at is not None
    again = owner.cancel(sent.id)
    assert (again.cancelled, again.too_late) == (2, 1)
    with pytest.raises(SignalNotFound):
        owner.cancel(str(uuid.uuid4()))
