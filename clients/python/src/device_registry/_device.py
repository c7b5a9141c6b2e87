"""The registry, for a device."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import TypeVar

from ._auth import AnonymousAuth, DeviceAuth
from ._credentials import Credentials, is_uuid
from ._errors import InvalidArgument, JournalError, MalformedAnswer, RegistryError
from ._journal import UNKNOWN_AFTER_RESTART, Journal, Order
from ._messages import TIMEOUT_SECONDS, Answer, Call, json_body, query
from ._models import (
    Account,
    Acknowledgement,
    AckResult,
    AckStatus,
    CallingDevice,
    DeviceSignal,
    PollResult,
    Program,
    RegisteredDevice,
    Terminal,
    TradingMode,
    UnreadableSignal,
)
from ._reading import read
from ._retry import RetryPolicy, create, perform, until_answered
from ._runners import AsyncRunner, SyncRunner, operation, stream
from ._steps import Item, Pause, Steps, StreamSteps

T = TypeVar("T")

_DEVICE = "/api/v1/device"
MAXIMUM_WAIT_SECONDS = 30
"""Of a poll."""
MAXIMUM_SIGNALS = 100
"""Of a poll, and acknowledgements of a request."""
_JOURNAL_ACKS = 15
"""Acknowledgements of a journal in a request: with the longest errors, they fit into a body of 64 KiB."""
_MINIMUM_INTERVAL_SECONDS = 1.0
"""The shortest time between polls that bring nothing new. An unacknowledged signal, a second program with the same device,
and a registry with too many parked polls make polls return at once."""


def new_instance() -> str:
    """A name for this run of a program."""
    return secrets.token_urlsafe(16)


def check_bounds(name: str, value: int, least: int, most: int) -> None:
    """Raises `InvalidArgument`."""
    if type(value) is not int or not least <= value <= most:
        raise InvalidArgument(f"{name} must be from {least} to {most}")


class _Obedience:
    """The trading mode that a stream of orders obeys."""

    def __init__(self, on_mode: Callable[[TradingMode], object] | None) -> None:
        self._on_mode = on_mode
        self._mode: TradingMode | None = None

    @property
    def version(self) -> int | None:
        """What the next poll confirms."""
        return None if self._mode is None else self._mode.version

    @property
    def may_trade(self) -> bool:
        """Whether orders may be returned. A mode that this library does not know halts."""
        mode = None if self._mode is None else self._mode.mode
        return mode == "normal" or (mode == "close_only" and self._on_mode is not None)

    def obey(self, mode: TradingMode) -> bool:
        """Returns whether the mode has changed. An answer that was overtaken by a newer one is ignored."""
        if self._mode is not None and mode.version <= self._mode.version:
            return False
        if self._on_mode is not None:
            self._on_mode(mode)
        self._mode = mode
        return True


def _enrol(code: str, device_name: str | None, idempotency_key: str | None, retries: RetryPolicy) -> Steps[RegisteredDevice]:
    if not isinstance(code, str):
        raise InvalidArgument("code must be text")
    body = {"code": code} if device_name is None else {"code": code, "device_name": device_name}
    call = Call("POST", f"{_DEVICE}/enrol", json_body(body, "device_name"))
    answer = yield from create(retries, call, idempotency_key)
    return read(RegisteredDevice, answer.json())


class _DeviceOperations:
    """The calls of a device, which both clients have."""

    _auth: DeviceAuth
    _retries: RetryPolicy
    _instance: str | None

    @property
    def id(self) -> str:
        """The device's id."""
        return self._auth.exchange.credentials.id

    def now(self) -> datetime:
        """The registry's time, to the second, as its last answer proved it: to test whether a signal has expired."""
        return datetime.fromtimestamp(self._auth.exchange.now(), timezone.utc)

    @operation
    def whoami(self) -> Steps[CallingDevice]:
        """The device as the registry knows it, and the registry's time."""
        answer = yield from perform(self._retries, Call("GET", _DEVICE))
        return read(CallingDevice, answer.json())

    @operation
    def poll(
        self, *, wait: int = 0, max: int = MAXIMUM_SIGNALS, mode_version: int | None = None, takeover: bool = False
    ) -> Steps[PollResult]:
        """The signals that are neither acknowledged nor expired, oldest first, at most `max` (1 to 100) of them. If there are
        none, the registry waits up to `wait` (0 to 30) seconds for one, or for a change of the trading mode. `mode_version`
        confirms that the device obeys this version of its trading mode.

        With an `instance`, the poll takes the lease on the device or renews it. If another instance has it, `DeviceInUse` is
        raised, unless `takeover`: then the other one gets that at its next poll.
        """
        call = self._poll_call(wait, max, mode_version, takeover=takeover)
        return _poll_result((yield from perform(self._retries, call)))

    @operation
    def set_context(self, account: Account, *, terminal: Terminal | None = None, program: Program | None = None) -> Steps[None]:
        """Says where the device runs, for its owner; at the start and when it changes. If the owner bound the device to an
        account, polls raise `AccountNotBound` on any other."""
        parts = {"account": account, "terminal": terminal, "program": program}
        body = {
            name: {key: value for key, value in dataclasses.asdict(part).items() if value is not None}
            for name, part in parts.items()
            if part is not None
        }
        yield from perform(self._retries, Call("PUT", f"{_DEVICE}/context", json_body(body, "context")))

    @operation
    def release(self, instance: str | None = None) -> Steps[None]:
        """Gives up the lease of an instance, by default the client's, so that another one needs no takeover."""
        holder = instance or self._instance
        if holder is None:
            raise InvalidArgument("the client has no instance")
        yield from perform(self._retries, Call("POST", f"{_DEVICE}/release", json_body({"instance": holder}, "instance")))

    @operation
    def ack(
        self, signal_id: str, status: AckStatus, *, broker_ticket: str | None = None, error: str | None = None
    ) -> Steps[AckResult]:
        """Says what the device did with a signal: `placed`, `failed` or `skipped`. Only the first acknowledgement of a signal
        counts; repeating it has no effect."""
        call = self._ack_call([Acknowledgement(signal_id, status, broker_ticket, error)])
        return _ack_result((yield from perform(self._retries, call)))

    @operation
    def ack_all(self, acknowledgements: Sequence[Acknowledgement]) -> Steps[AckResult]:
        """Acknowledges at most 100 signals."""
        return _ack_result((yield from perform(self._retries, self._ack_call(acknowledgements))))

    def _ack_call(self, acknowledgements: Sequence[Acknowledgement]) -> Call:
        if len(acknowledgements) > MAXIMUM_SIGNALS:
            raise InvalidArgument(f"there must be at most {MAXIMUM_SIGNALS} acknowledgements in a call")
        body = json_body({"acks": [dataclasses.asdict(ack) for ack in acknowledgements]}, "acknowledgements")
        return Call("POST", f"{_DEVICE}/ack", body)

    @stream
    def signals(
        self,
        *,
        wait: int = 25,
        max: int = MAXIMUM_SIGNALS,
        takeover: bool = False,
        on_mode: Callable[[TradingMode], object] | None = None,
        on_unreadable: Callable[[UnreadableSignal], object] = lambda signal: None,
        on_failure: Callable[[RegistryError], object] = lambda error: None,
    ) -> StreamSteps[DeviceSignal]:
        """The device's signals as they arrive, without end: one long poll after another.

        An iterator returns each signal once, acknowledged or not; a new one returns unacknowledged signals again. The
        registry delivers the oldest unacknowledged signals, so with `max` of them unacknowledged, no newer ones arrive until
        they expire.

        With an `instance`, `takeover` takes the lease at the start; see `poll`.

        `on_mode` is called with the trading mode at the start and when it changes. When it returns, the device obeys that mode,
        which the next poll confirms.

        Temporary failures are retried without limit, with growing pauses and after `Retry-After`; so is a suspension that has
        an end. `on_failure` is called with each. Permanent failures are raised: a 401 that the right clock does not fix (the
        secret was rotated, or the device was deleted), any other 403 (it is revoked, has expired, or runs on another account),
        `DeviceInUse`, or an answer without the registry's signature. `on_unreadable` is called with each signal that cannot
        be read: acknowledge it as failed, so that the registry does not send it again.
        """
        # The signals that were returned and may arrive again: those of the last poll that had any. At most `max`.
        known: set[str] = set()
        confirmed: int | None = None
        while True:
            start = time.monotonic()
            # The first poll shows the mode, which the second confirms: it does not wait.
            first_wait = wait if on_mode is None or confirmed is not None else 0
            call = self._poll_call(first_wait, max, confirmed, takeover=takeover)
            result = yield from self._until_answered(call, _poll_result, on_failure)
            takeover = False
            has_changed = on_mode is not None and result.trading_mode.version != confirmed
            if has_changed and on_mode is not None:
                on_mode(result.trading_mode)
                confirmed = result.trading_mode.version
            new = [signal for signal in result.signals if signal.id not in known]
            for unreadable in result.unreadable:
                if unreadable.id not in known:
                    on_unreadable(unreadable)
            ids = {signal.id for signal in result.signals} | {signal.id for signal in result.unreadable if signal.id}
            known = ids or known
            for signal in new:
                yield Item(signal)
            if not new and not has_changed:
                yield from self._rest(start, result.retry_after_seconds)

    @stream
    def orders(
        self,
        journal: Journal,
        *,
        wait: int = 25,
        max: int = 10,
        takeover: bool = False,
        find: Callable[[DeviceSignal], str | int | None] = lambda signal: None,
        on_mode: Callable[[TradingMode], object] | None = None,
        on_failure: Callable[[RegistryError], object] = lambda error: None,
    ) -> StreamSteps[Order]:
        """The device's signals as orders to place, without end: each signal at most once, over crashes and restarts.

            for order in device.orders(journal, find=find_at_broker):
                try:
                    order.placed(place(order.signal.payload))
                except BrokerError as error:
                    order.failed(str(error))

        Before an order is returned, the intent to place it is on the disk. Say how it ended before you take the next one;
        outcomes are acknowledged until the registry knows them. A signal that has expired meanwhile, by the registry's time, is
        skipped, and one that cannot be read is failed.

        At the start, orders that a crash left open (`Journal.unfinished`) are sought with `find`, which returns the broker's
        number of a signal's order. One that it does not find is not placed again, but acknowledged as failed.

        Orders are returned in the trading mode `normal` only; signals of another time wait until they expire. With `on_mode`,
        which is called with the mode at the start and when it changes, they are returned in `close_only`, too: the program must
        then open no position. Either way the device confirms the mode.

        A journal is an instance of the program: while it has the lease on the device, a program with another journal gets no
        signals, but `DeviceInUse`. `takeover` takes the lease at the start.

        Failures are handled as in `signals`.
        """
        if journal.device_id != self.id:
            raise JournalError("the journal is another device's")
        for order in journal.unfinished():
            ticket = find(order.signal)
            if ticket is None:
                order.failed(UNKNOWN_AFTER_RESTART)
            else:
                order.placed(ticket)
        obedience = _Obedience(on_mode)
        while True:
            start = time.monotonic()
            yield from self._acknowledge(journal, obedience, on_failure)
            # The first poll shows the mode, which the second confirms: it does not wait.
            first_wait = 0 if obedience.version is None else wait
            call = self._poll_call(first_wait, max, obedience.version, instance=journal.instance, takeover=takeover)
            result = yield from self._until_answered(call, _poll_result, on_failure)
            takeover = False
            has_changed = obedience.obey(result.trading_mode)
            journal.forget(result.server_time)
            new = journal.see(result.signals)
            for signal in new:
                # An acknowledgement may have shown another mode.
                if not obedience.may_trade:
                    break
                yield from self._order(journal, signal)
                yield from self._acknowledge(journal, obedience, on_failure)
            refused = [signal for signal in result.unreadable if signal.id]
            if refused:
                acks = [Acknowledgement(signal.id or "", "failed", error=signal.reason) for signal in refused]
                yield from self._until_answered(self._ack_call(acks), _ack_result, on_failure)
            if not has_changed and not (new and obedience.may_trade):
                yield from self._rest(start, result.retry_after_seconds)

    def _order(self, journal: Journal, signal: DeviceSignal) -> StreamSteps[Order]:
        if signal.expires_at <= self.now():
            journal.finish(Acknowledgement(signal.id, "skipped", error="expired before it was placed"))
            return
        order = journal.begin(signal)
        if order is None:
            return
        yield Item(order)
        if not order.is_finished:
            raise JournalError("the order has no outcome: call placed, failed or skipped before you take the next one")

    def _acknowledge(
        self, journal: Journal, obedience: _Obedience, on_failure: Callable[[RegistryError], object]
    ) -> Steps[None]:
        while acks := journal.unacknowledged(_JOURNAL_ACKS):
            result = yield from self._until_answered(self._ack_call(acks), _ack_result, on_failure)
            known = [*result.acked, *result.unknown]
            if not {ack.signal_id for ack in acks} <= set(known):
                raise MalformedAnswer("the answer is not what the registry sends: it says nothing of an acknowledgement")
            journal.acknowledge(known)
            obedience.obey(result.trading_mode)

    def _poll_call(
        self,
        wait: int,
        max: int,
        mode_version: int | None,
        *,
        instance: str | None = None,
        takeover: bool = False,
    ) -> Call:
        check_bounds("wait", wait, 0, MAXIMUM_WAIT_SECONDS)
        check_bounds("max", max, 1, MAXIMUM_SIGNALS)
        target = query(
            f"{_DEVICE}/poll",
            wait=wait,
            max=max,
            mode_version=mode_version,
            instance=instance or self._instance,
            takeover=1 if takeover else None,
        )
        return Call("GET", target, timeout_seconds=wait + TIMEOUT_SECONDS)

    def _until_answered(
        self, call: Call, result: Callable[[Answer], T], on_failure: Callable[[RegistryError], object]
    ) -> Steps[T]:
        return result((yield from until_answered(self._retries, call, on_failure)))

    def _rest(self, start: float, retry_after_seconds: int | None) -> Steps[None]:
        if retry_after_seconds is not None:
            yield Pause(self._retries.pause_seconds(1, retry_after_seconds))
        else:
            yield Pause(max(0.0, _MINIMUM_INTERVAL_SECONDS - (time.monotonic() - start)))


def _ack_result(answer: Answer) -> AckResult:
    return read(AckResult, answer.json())


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
            unreadable.append(UnreadableSignal(id=id if is_uuid(id) else None, reason=str(error)))
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

    An `instance` names this run of the program: 8 to 64 of `A-Za-z0-9-_`, for example `new_instance()`. Its polls take the
    lease on the device, and another instance gets `DeviceInUse` in place of signals.

    `url` is the registry's scheme, host and port; `http` only for this machine, unless `allow_insecure_http`: attackers on
    the network can then read signals and delay requests, but not create any. `ca_file` has PEM certificates to trust instead
    of the default ones.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        instance: str | None = None,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._auth = DeviceAuth(credentials, allow_insecure_http=allow_insecure_http)
        self._retries = retries
        self._instance = instance
        super().__init__(url, self._auth, allow_insecure_http=allow_insecure_http, ca_file=ca_file)

    @classmethod
    def enrol(
        cls,
        url: str,
        code: str,
        *,
        device_name: str | None = None,
        idempotency_key: str | None = None,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> RegisteredDevice:
        """Uses a code that the owner made, which works once: registers this terminal as a device, or gives the code's device a
        new secret. `save` the result: only this answer has the secret. Without a `device_name`, the device has the owner's, or
        one that the registry makes. Raises `EnrolmentInvalid`, `DeviceNameTaken` and `TooManyDevices`.

        It is repeated only if the registry certainly did nothing, or with an `idempotency_key`. If the answer is lost, ask the
        owner for another code.
        """
        runner = SyncRunner(url, AnonymousAuth(), allow_insecure_http=allow_insecure_http, ca_file=ca_file)
        with runner:
            return runner._run(_enrol(code, device_name, idempotency_key, retries))


class AsyncDeviceClient(_DeviceOperations, AsyncRunner):
    """`DeviceClient` for asyncio and trio: `async with`, `await device.poll()`, `async for signal in device.signals()`."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        instance: str | None = None,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._auth = DeviceAuth(credentials, allow_insecure_http=allow_insecure_http)
        self._retries = retries
        self._instance = instance
        super().__init__(url, self._auth, allow_insecure_http=allow_insecure_http, ca_file=ca_file)

    @classmethod
    async def enrol(
        cls,
        url: str,
        code: str,
        *,
        device_name: str | None = None,
        idempotency_key: str | None = None,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> RegisteredDevice:
        """As `DeviceClient.enrol`."""
        runner = AsyncRunner(url, AnonymousAuth(), allow_insecure_http=allow_insecure_http, ca_file=ca_file)
        async with runner:
            return await runner._run(_enrol(code, device_name, idempotency_key, retries))
