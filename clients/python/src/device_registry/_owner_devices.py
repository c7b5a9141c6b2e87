"""Devices, for their owner."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime

from ._credentials import path_id
from ._errors import MalformedAnswer
from ._messages import Call, query
from ._models import BoundAccount, Device, Diagnosis, Enrolment, IssuedEnrolment, RegisteredDevice, Summary
from ._owner_calls import LONG_PAGE, UNCHANGED, OwnerCalls, T, changes, given, path, request, time_text
from ._reading import read_list
from ._retry import create, perform
from ._runners import operation, stream
from ._steps import Steps, StreamSteps


class DeviceRoutes(OwnerCalls):
    """Devices, and the codes with which terminals become devices."""

    @operation
    def register(
        self,
        device_name: str,
        *,
        labels: Mapping[str, str] | None = None,
        groups: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[RegisteredDevice]:
        """Registers a device and returns it with its secret, which is shown only once.

        At most 16 `labels`: a key is 1 to 64 of `A-Za-z0-9._/-`, a value 0 to 64 of `A-Za-z0-9._-`. The `groups` must exist.
        After `expires_at` the device is refused. Raises `DeviceNameTaken`, `TooManyDevices` and `GroupNotFound`.
        """
        body = {
            "device_name": device_name,
            **given(labels=_object(labels), groups=_array(groups), expires_at=time_text(expires_at)),
        }
        return self._create(RegisteredDevice, path("devices"), body, idempotency_key)

    @stream
    def devices(
        self,
        *,
        status: Sequence[str] | None = None,
        labels: Mapping[str, str | None] | None = None,
        group: str | None = None,
        q: str | None = None,
        online: bool | None = None,
        seen_before: datetime | None = None,
        mode_confirmed: bool | None = None,
    ) -> StreamSteps[Device]:
        """The owner's devices for which all conditions hold, oldest first. Pages are fetched as elements are read.

        `status` lists states, `labels` are labels that a device must have, with None for any value, `q` is a part of the name,
        ignoring the case of ASCII letters, and `seen_before` finds those that sent no request since.
        """
        return self._pages(Device, _search(status, labels, group, q, online, seen_before, mode_confirmed, limit=LONG_PAGE))

    @operation
    def devices_csv(
        self,
        *,
        status: Sequence[str] | None = None,
        labels: Mapping[str, str | None] | None = None,
        group: str | None = None,
        q: str | None = None,
        online: bool | None = None,
        seen_before: datetime | None = None,
        mode_confirmed: bool | None = None,
    ) -> Steps[str]:
        """The same devices as CSV (RFC 4180) with a header line, safe to open in a spreadsheet."""
        call = Call(
            "GET", _search(status, labels, group, q, online, seen_before, mode_confirmed), fields={"Accept": "text/csv"}
        )
        answer = yield from perform(self._retries, call)
        if answer.media_type != "text/csv":
            raise MalformedAnswer("the answer is not what the registry sends: it is not CSV")
        try:
            return answer.body.decode()
        except UnicodeDecodeError:
            raise MalformedAnswer("the answer is not what the registry sends: it is not UTF-8") from None

    @operation
    def summary(self) -> Steps[Summary]:
        """How many devices there are, by status and group."""
        return self._call(Summary, "GET", path("devices", "summary"))

    @operation
    def device(self, device_id: str) -> Steps[Device]:
        """One device. Raises `DeviceNotFound`, or `NotOwner` if it is another owner's."""
        return self._call(Device, "GET", path("devices", path_id(device_id)))

    @operation
    def update(
        self,
        device_id: str,
        *,
        device_name: str = UNCHANGED,
        labels: Mapping[str, str | None] | None = UNCHANGED,
        expires_at: datetime | None = UNCHANGED,
        bound_account: BoundAccount | None = UNCHANGED,
    ) -> Steps[Device]:
        """Changes a device. `labels` are merged: None as a value removes a label, None for the whole removes all. With
        `expires_at=None` the device does not expire, and with `bound_account=None` it may trade on any account.

        Raises as `device`, `DeviceNameTaken`, and `DeviceRevoked`.
        """
        body = changes(
            device_name=device_name,
            labels=_object(labels) if isinstance(labels, Mapping) else labels,
            expires_at=time_text(expires_at) if isinstance(expires_at, datetime) else expires_at,
            bound_account=dataclasses.asdict(bound_account) if isinstance(bound_account, BoundAccount) else bound_account,
        )
        return self._call(Device, "PATCH", path("devices", path_id(device_id)), body)

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

    @operation
    def diagnose(
        self,
        device_id: str,
        method: str,
        target: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        body: bytes = b"",
    ) -> Steps[Diagnosis]:
        """Says why the signature of a device's request does not verify: give the request as the device sends it. The registry
        tries the usual mistakes. Nothing of it is stored. Raises as `device`."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        captured = {
            "method": method,
            "target": target,
            "headers": [[name, value] for name, value in pairs],
            **({"body_base64": base64.b64encode(body).decode()} if body else {}),
        }
        return self._call(Diagnosis, "POST", path("devices", path_id(device_id), "diagnose"), captured)

    # Enrolment: a terminal gets its device and secret with a code that works once.

    @operation
    def create_enrolments(
        self,
        *,
        count: int = 1,
        expires_in: int | None = None,
        device_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        groups: Sequence[str] | None = None,
        device_expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[tuple[IssuedEnrolment, ...]]:
        """Creates codes, 1 to 500, with each of which a terminal registers as a device: see `DeviceClient.enrol`. They work for
        `expires_in` seconds (60 to 2,592,000; None means 900) and are shown only once. `device_name` is the name of the new
        device, unless the terminal gives one; of several, each with its number. The device gets the labels, the groups, which
        must exist, and the time from when on it is refused. Raises `GroupNotFound` and `TooManyEnrolments`."""
        body = {
            "count": count,
            **given(expires_in=expires_in, device_name=device_name, labels=_object(labels), groups=_array(groups)),
            **given(device_expires_at=time_text(device_expires_at)),
        }
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


def _search(
    status: Sequence[str] | None,
    labels: Mapping[str, str | None] | None,
    group: str | None,
    q: str | None,
    online: bool | None,
    seen_before: datetime | None,
    mode_confirmed: bool | None,
    limit: int | None = None,
) -> str:
    """The target of a search."""
    pairs = [key if value is None else f"{key}:{value}" for key, value in (labels or {}).items()]
    return query(
        path("devices"),
        limit=limit,
        status=None if status is None else ",".join([status] if isinstance(status, str) else status),
        labels=",".join(pairs) or None,
        group=group,
        q=q,
        online=_flag(online),
        seen_before=time_text(seen_before),
        mode_confirmed=_flag(mode_confirmed),
    )


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(bool(value)).lower()


def _object(members: Mapping[str, T] | None) -> dict[str, T] | None:
    return None if members is None else dict(members)


def _array(elements: Sequence[T] | None) -> list[T] | None:
    return None if elements is None else list(elements)
