"""The registry, for a device."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from ._auth import DeviceAuth
from ._credentials import Credentials
from ._errors import InvalidArgument, MalformedAnswer, RegistryError
from ._messages import TIMEOUT_SECONDS, Answer, Call, json_body, query
from ._models import Acknowledgement, AckResult, AckStatus, CallingDevice, DeviceSignal, PollResult, UnreadableSignal
from ._reading import read
from ._retry import RetryPolicy, attempt, pause, perform
from ._runners import AsyncRunner, SyncRunner, operation, stream
from ._steps import Item, Pause, Steps, StreamSteps

_DEVICE = "/api/v1/device"
MAXIMUM_WAIT_SECONDS = 30
"""Of a poll."""
MAXIMUM_SIGNALS = 100
"""Of a poll, and acknowledgements of a request."""
_MINIMUM_INTERVAL_SECONDS = 1.0
"""The shortest time between polls that bring nothing new. An unacknowledged signal, a second program with the same device,
and a registry with too many parked polls make polls return at once."""


def check_bounds(name: str, value: int, least: int, most: int) -> None:
    """Raises `InvalidArgument`."""
    if type(value) is not int or not least <= value <= most:
        raise InvalidArgument(f"{name} must be from {least} to {most}")


class _DeviceOperations:
    """The calls of a device, which both clients have."""

    _auth: DeviceAuth
    _retries: RetryPolicy

    @property
    def id(self) -> str:
        """The device's id."""
        return self._auth.exchange.credentials.id

    def now(self) -> datetime:
        """The registry's time, as far as signed answers have shown it: to test whether a signal has expired."""
        return datetime.fromtimestamp(self._auth.exchange.now(), timezone.utc)

    @operation
    def whoami(self) -> Steps[CallingDevice]:
        """The device as the registry knows it, and the registry's time."""
        answer = yield from perform(self._retries, Call("GET", _DEVICE))
        return read(CallingDevice, answer.json())

    @operation
    def poll(self, *, wait: int = 0, max: int = MAXIMUM_SIGNALS) -> Steps[PollResult]:
        """The signals that are neither acknowledged nor expired, oldest first, at most `max` (1 to 100) of them. If there are
        none, the registry waits up to `wait` (0 to 30) seconds for one."""
        return _poll_result((yield from perform(self._retries, self._poll_call(wait, max))))

    @operation
    def ack(
        self, signal_id: str, status: AckStatus, *, broker_ticket: str | None = None, error: str | None = None
    ) -> Steps[AckResult]:
        """Says what the device did with a signal: `placed`, `failed` or `skipped`. Only the first acknowledgement of a signal
        counts; repeating it has no effect."""
        return (yield from self._ack([Acknowledgement(signal_id, status, broker_ticket, error)]))

    @operation
    def ack_all(self, acknowledgements: Sequence[Acknowledgement]) -> Steps[AckResult]:
        """Acknowledges at most 100 signals."""
        return (yield from self._ack(acknowledgements))

    def _ack(self, acknowledgements: Sequence[Acknowledgement]) -> Steps[AckResult]:
        if len(acknowledgements) > MAXIMUM_SIGNALS:
            raise InvalidArgument(f"there must be at most {MAXIMUM_SIGNALS} acknowledgements in a call")
        body = json_body({"acks": [dataclasses.asdict(ack) for ack in acknowledgements]}, "acknowledgements")
        answer = yield from perform(self._retries, Call("POST", f"{_DEVICE}/ack", body))
        return read(AckResult, answer.json())

    @stream
    def signals(
        self,
        *,
        wait: int = 25,
        max: int = MAXIMUM_SIGNALS,
        on_unreadable: Callable[[UnreadableSignal], object] = lambda signal: None,
        on_failure: Callable[[RegistryError], object] = lambda error: None,
    ) -> StreamSteps[DeviceSignal]:
        """The device's signals as they arrive, without end: one long poll after another.

        An iterator returns each signal once, acknowledged or not; a new one returns unacknowledged signals again. The
        registry delivers the oldest unacknowledged signals, so with `max` of them unacknowledged, no newer ones arrive until
        they expire.

        Temporary failures are retried without limit, with growing pauses and after `Retry-After`; `on_failure` is called with
        each. Permanent failures are raised: a 401 that the right clock does not fix (the device is revoked, or its secret was
        rotated), or an answer without the registry's signature. `on_unreadable` is called with each signal that cannot be
        read: acknowledge it as failed, so that the registry does not send it again.
        """
        # The signals that were returned and may arrive again: those of the last poll that had any. At most `max`.
        known: set[str] = set()
        while True:
            start = time.monotonic()
            result = yield from self._poll_until_answered(self._poll_call(wait, max), on_failure)
            new = [signal for signal in result.signals if signal.id not in known]
            for unreadable in result.unreadable:
                if unreadable.id not in known:
                    on_unreadable(unreadable)
            ids = {signal.id for signal in result.signals} | {signal.id for signal in result.unreadable if signal.id}
            known = ids or known
            for signal in new:
                yield Item(signal)
            if not new:
                yield from self._rest(start, result.retry_after_seconds)

    def _poll_call(self, wait: int, max: int) -> Call:
        check_bounds("wait", wait, 0, MAXIMUM_WAIT_SECONDS)
        check_bounds("max", max, 1, MAXIMUM_SIGNALS)
        return Call("GET", query(f"{_DEVICE}/poll", wait=wait, max=max), timeout_seconds=wait + TIMEOUT_SECONDS)

    def _poll_until_answered(self, call: Call, on_failure: Callable[[RegistryError], object]) -> Steps[PollResult]:
        failures = 0
        while True:
            try:
                return _poll_result((yield from attempt(call)))
            except RegistryError as error:
                if not error.is_transient:
                    raise
                failure = error
            on_failure(failure)
            failures += 1
            yield from pause(self._retries, failures, failure)

    def _rest(self, start: float, retry_after_seconds: int | None) -> Steps[None]:
        if retry_after_seconds is not None:
            yield Pause(self._retries.pause_seconds(1, retry_after_seconds))
        else:
            yield Pause(max(0.0, _MINIMUM_INTERVAL_SECONDS - (time.monotonic() - start)))


def _poll_result(answer: Answer) -> PollResult:
    """Reads each signal separately, so that one that cannot be read does not affect the others."""
    members = answer.json()
    result = read(PollResult, {**members, "signals": []} if isinstance(members, dict) else members)
    elements = members.get("signals")
    if not isinstance(elements, list):
        raise MalformedAnswer("the answer is not what the registry sends: signals is missing or has the wrong type")
    signals, unreadable = [], []
    for element in elements:
        try:
            signals.append(read(DeviceSignal, element, "signal"))
        except MalformedAnswer as error:
            id = element.get("id") if isinstance(element, dict) else None
            unreadable.append(UnreadableSignal(id=id if isinstance(id, str) else None, reason=str(error)))
    return dataclasses.replace(
        result,
        signals=tuple(signals),
        unreadable=tuple(unreadable),
        retry_after_seconds=answer.retry_after_seconds,
    )


class DeviceClient(_DeviceOperations, SyncRunner):
    """The registry, for a device: signs every request with the device's secret, and verifies the signature of every answer
    before using it.

        with DeviceClient("https://registry.example.com", Credentials.from_file("ea.key")) as device:
            for signal in device.signals():
                ticket = place(signal.payload)
                device.ack(signal.id, "placed", broker_ticket=ticket)

    Retries requests that fail temporarily, following the `RetryPolicy`, with a new signature each time. Any thread may call.

    `url` is the registry's scheme, host and port; `http` only for this machine, unless `allow_insecure_http`: attackers on
    the network can then read signals and delay requests, but not create any. `ca_file` has PEM certificates to trust instead
    of the default ones.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._auth = DeviceAuth(credentials, allow_insecure_http=allow_insecure_http)
        self._retries = retries
        super().__init__(url, self._auth, allow_insecure_http=allow_insecure_http, ca_file=ca_file)


class AsyncDeviceClient(_DeviceOperations, AsyncRunner):
    """`DeviceClient` for asyncio and trio: `async with`, `await device.poll()`, `async for signal in device.signals()`."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._auth = DeviceAuth(credentials, allow_insecure_http=allow_insecure_http)
        self._retries = retries
        super().__init__(url, self._auth, allow_insecure_http=allow_insecure_http, ca_file=ca_file)
