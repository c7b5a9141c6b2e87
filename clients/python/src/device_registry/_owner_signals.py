"""Signals, for their owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._credentials import path_id
from ._messages import Answer, query
from ._models import Cancellation, Delivery, SentSignal, Signal
from ._owner_calls import LONG_PAGE, SHORT_PAGE, OwnerCalls, Select, given, path
from ._runners import operation, stream
from ._steps import Steps, StreamSteps


class SignalRoutes(OwnerCalls):
    """Signals and their deliveries."""

    @operation
    def send(
        self,
        payload: Mapping[str, Any],
        *,
        device_ids: Sequence[str] | None = None,
        all: bool = False,
        group: str | None = None,
        labels: Mapping[str, str] | None = None,
        ttl_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Signal]:
        """Sends a signal to the devices that exactly one of the arguments of `Select` names. The payload is at most 16 KiB of
        JSON. Devices get it for `ttl_seconds` (1 to 604,800; None means an hour).

        Raises `NotOwner`, `DeviceNotFound`, `DeviceRevoked` or `GroupNotFound`; then nothing is created.
        """
        select = Select(device_ids=device_ids, all=all, group=group, labels=labels)
        body = {"payload": dict(payload), **select.members(), **given(ttl_seconds=ttl_seconds)}
        return self._create(Signal, path("signals"), body, idempotency_key)

    @stream
    def signals(self) -> StreamSteps[Signal]:
        """The owner's signals, newest first. Pages are fetched as elements are read."""
        return self._pages(Signal, query(path("signals"), limit=SHORT_PAGE))

    @operation
    def signal(self, signal_id: str) -> Steps[SentSignal]:
        """One signal, with its payload and the first deliveries, at most 1000. Raises `SignalNotFound` and `NotOwner`."""
        return self._call(SentSignal, "GET", path("signals", path_id(signal_id)))

    @operation
    def cancel(self, signal_id: str, *, reason: str | None = None) -> Steps[Cancellation]:
        """Cancels a signal: devices do not get it any more, and polls list its id until it expires. Raises as `signal`."""
        return self._call(Cancellation, "POST", path("signals", path_id(signal_id), "cancel"), given(reason=reason))

    @stream
    def deliveries(self, signal_id: str) -> StreamSteps[Delivery]:
        """All deliveries of a signal, one for each device. Raises as `signal`."""
        target = query(path("signals", path_id(signal_id)), limit=LONG_PAGE)
        return self._pages(Delivery, target, lambda answer: _member(answer, "deliveries"))


def _member(answer: Answer, name: str) -> object:
    members = answer.json()
    return members.get(name) if isinstance(members, dict) else None
