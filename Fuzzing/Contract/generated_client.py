"""Uses the client that openapi-python-client generated from the registry's OpenAPI document: registers a device, lists the
devices, and sends signals.

    generated_client.py URL TOKEN

The package `registry_client` is on PYTHONPATH.
"""
import sys

from registry_client import AuthenticatedClient
from registry_client.api.devices import get_device, list_devices, register_device, update_device
from registry_client.api.signals import create_signal, get_signal, list_signals
from registry_client.models import DeviceInput, DeviceUpdate, Problem, SignalInputType0, SignalInputType1


def main(url, token):
    client = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
    name = "generated client"
    device = register_device.sync(client=client, body=DeviceInput(device_name=name))
    assert device.device_name == name and len(device.secret) == 64, device
    assert str(device.id) in {str(each.id) for each in list_devices.sync(client=client)}
    assert get_device.sync(device.id, client=client).is_active
    renamed = update_device.sync(device.id, client=client, body=DeviceUpdate(device_name=name + " 2"))
    assert renamed.device_name == name + " 2", renamed

    payload = {"payload": {"side": "buy", "lots": 0.1}}
    listed = SignalInputType0.from_dict(payload | {"device_ids": [str(device.id)], "ttl_seconds": 60})
    signal = create_signal.sync(client=client, body=listed)
    assert signal.devices == 1, signal
    assert create_signal.sync(client=client, body=SignalInputType1.from_dict(payload | {"all": True})).devices >= 1
    sent = get_signal.sync(signal.id, client=client)
    assert sent.payload.to_dict() == payload["payload"] and len(sent.deliveries) == 1, sent
    page = list_signals.sync_detailed(client=client, limit=1)
    assert len(page.parsed) == 1 and 'rel="next"' in page.headers["link"], page
    refused = create_signal.sync(client=client, body=SignalInputType0.from_dict(payload | {"device_ids": []}))
    assert isinstance(refused, Problem) and refused.errors, refused


if __name__ == "__main__":
    main(*sys.argv[1:])
