"""Devices, for their owner."""

from __future__ import annotations

from datetime import datetime

from ._credentials import path_id
from ._messages import query
from ._models import Device, Enrolment, IssuedEnrolment, RegisteredDevice
from ._owner_calls import LONG_PAGE, UNCHANGED, OwnerCalls, changes, given, path, request, time_text
from ._reading import read_list
from ._retry import create
from ._runners import operation, stream
from ._steps import Steps, StreamSteps


class DeviceRoutes(OwnerCalls):
    """Devices, and the codes with which terminals become devices."""

    @operation
    def register(self, device_name: str, *, idempotency_key: str | None = None) -> Steps[RegisteredDevice]:
        """Registers a device and returns it with its secret, which is shown only once. Raises `DeviceNameTaken` and
        `TooManyDevices`."""
        return self._create(RegisteredDevice, path("devices"), {"device_name": device_name}, idempotency_key)

    @stream
    def devices(self) -> StreamSteps[Device]:
        """The owner's devices, oldest first. Pages are fetched as elements are read."""
        return self._pages(Device, query(path("devices"), limit=LONG_PAGE))

    @operation
    def device(self, device_id: str) -> Steps[Device]:
        """One device. Raises `DeviceNotFound`, or `NotOwner` if it is another owner's."""
        return self._call(Device, "GET", path("devices", path_id(device_id)))

    @operation
    def update(self, device_id: str, *, device_name: str = UNCHANGED) -> Steps[Device]:
        """Changes a device. Raises as `device`, `DeviceNameTaken`, and `DeviceRevoked`."""
        return self._call(Device, "PATCH", path("devices", path_id(device_id)), changes(device_name=device_name))

    @operation
    def revoke(self, device_id: str, *, reason: str | None = None) -> Steps[None]:
        """Revokes a device, which is final. Repeating it has no effect. Raises as `device`."""
        return self._tell("POST", path("devices", path_id(device_id), "revoke"), given(reason=reason))

    @operation
    def suspend(self, device_id: str, *, reason: str | None = None, until: datetime | None = None) -> Steps[Device]:
        """Refuses a device until a time, or until it is resumed. Repeating it has no effect. Raises as `device`, and
        `DeviceRevoked`."""
        body = given(reason=reason, until=time_text(until))
        return self._call(Device, "POST", path("devices", path_id(device_id), "suspend"), body)

    @operation
    def resume(self, device_id: str, *, reason: str | None = None) -> Steps[Device]:
        """Ends the suspension of a device. Repeating it has no effect. Raises as `suspend`."""
        return self._call(Device, "POST", path("devices", path_id(device_id), "resume"), given(reason=reason))

    @operation
    def delete(self, device_id: str) -> Steps[None]:
        """Deletes a revoked device; its events stay. Raises as `device`, and `DeviceNotRevoked`."""
        return self._tell("DELETE", path("devices", path_id(device_id)))

    @operation
    def rotate(
        self,
        device_id: str,
        *,
        grace_seconds: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[RegisteredDevice]:
        """Gives a device a new secret. The old one works until the new one is first used, at most `grace_seconds` (0 to
        86,400; None means a day). Raises as `device`, and `DeviceRevoked`."""
        body = given(grace_seconds=grace_seconds, reason=reason)
        return self._create(RegisteredDevice, path("devices", path_id(device_id), "rotate"), body, idempotency_key)

    # Enrolment: a terminal gets its device and secret with a code that works once.

    @operation
    def create_enrolments(
        self,
        *,
        count: int = 1,
        expires_in: int | None = None,
        device_name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[tuple[IssuedEnrolment, ...]]:
        """Creates codes, 1 to 500, with each of which a terminal registers as a device: see `DeviceClient.enrol`. They work for
        `expires_in` seconds (60 to 2,592,000; None means 900) and are shown only once. `device_name` is the name of the new
        device, unless the terminal gives one; of several, each with its number. Raises `TooManyEnrolments`."""
        body = {"count": count, **given(expires_in=expires_in, device_name=device_name)}
        answer = yield from create(self._retries, request("POST", path("enrolments"), body), idempotency_key)
        return read_list(IssuedEnrolment, answer.json())

    @operation
    def create_device_enrolment(
        self, device_id: str, *, expires_in: int | None = None, idempotency_key: str | None = None
    ) -> Steps[IssuedEnrolment]:
        """Creates a code that gives this device a new secret and ends the old one, for a terminal that moves. Raises as
        `device`, `DeviceRevoked` and `TooManyEnrolments`."""
        target = path("devices", path_id(device_id), "enrolment")
        return self._create(IssuedEnrolment, target, given(expires_in=expires_in), idempotency_key)

    @stream
    def enrolments(self) -> StreamSteps[Enrolment]:
        """The owner's enrolments, oldest first, without their codes. Used and expired ones are kept for a week."""
        return self._pages(Enrolment, query(path("enrolments"), limit=LONG_PAGE))

    @operation
    def delete_enrolment(self, enrolment_id: str) -> Steps[None]:
        """Deletes an enrolment, whose code no longer works. Raises `EnrolmentNotFound` and `NotOwner`."""
        return self._tell("DELETE", path("enrolments", path_id(enrolment_id)))
