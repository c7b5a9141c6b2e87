"""The registry, for the owner of devices."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

from ._auth import AsyncToken, Token, TokenAuth, token_file
from ._credentials import path_id
from ._device import MAXIMUM_WAIT_SECONDS, check_bounds
from ._errors import InvalidArgument, MalformedAnswer, RegistryError
from ._messages import TIMEOUT_SECONDS, Answer, Call, json_body, query
from ._models import (
    Client,
    CreatedWebhook,
    Delivery,
    Device,
    Enrolment,
    EventPage,
    IssuedEnrolment,
    RegisteredDevice,
    SentSignal,
    Signal,
    Webhook,
    WebhookDelivery,
)
from ._reading import read, read_list
from ._retry import RetryPolicy, create, perform, until_answered
from ._runners import AsyncRunner, SyncRunner, operation, stream
from ._steps import Item, Pause, Steps, StreamSteps

T = TypeVar("T")

_API = "/api/v1"
_LONG_PAGE = 1000
_SHORT_PAGE = 100
_MAXIMUM_EVENTS = 1000
_MINIMUM_INTERVAL_SECONDS = 1.0
"""The shortest time between requests of the feed that show nothing new."""
_WEBHOOK_TEST_TIMEOUT_SECONDS = 20.0
"""The registry waits 10 s for the receiver."""
_NEXT_LINK = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')
_PRINTABLE = re.compile(r"[!-~]+")


class _Unchanged:
    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final[Any] = _Unchanged()
"""Of an argument: the value stays what it is. None removes it."""


def _given(**members: object) -> dict[str, object]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def _changes(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not UNCHANGED}


def _path(*parts: str) -> str:
    return "/".join([_API, *parts])


def _name(name: str) -> str:
    """A name as a part of a path. Raises `InvalidArgument` for one that would change the path."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        raise InvalidArgument("the id or name must be text, and not . or ..")
    return quote(name, safe="")


class _OwnerOperations:
    """The calls of an owner, which both clients have."""

    _retries: RetryPolicy

    # Requests

    def _call(self, kind: type[T], method: str, path: str, body: object = None, **options: Any) -> Steps[T]:
        """A request that may be repeated."""
        answer = yield from perform(self._retries, _request(method, path, body, **options))
        return read(kind, answer.json())

    def _tell(self, method: str, path: str, body: object = None) -> Steps[None]:
        """The same, without content in the answer."""
        yield from perform(self._retries, _request(method, path, body))

    def _create(self, kind: type[T], path: str, body: object, idempotency_key: str | None) -> Steps[T]:
        answer = yield from create(self._retries, _request("POST", path, body), idempotency_key)
        return read(kind, answer.json())

    def _pages(self, kind: type[T], target: str, elements: Callable[[Answer], object] = Answer.json) -> StreamSteps[T]:
        """The elements of a list, page after page."""
        following: str | None = target
        while following is not None:
            answer = yield from perform(self._retries, Call("GET", following))
            for element in read_list(kind, elements(answer)):
                yield Item(element)
            following = _next_link(answer.fields.get("link"), following)

    # Devices

    @operation
    def register(self, device_name: str, *, idempotency_key: str | None = None) -> Steps[RegisteredDevice]:
        """Registers a device and returns it with its secret, which is shown only once. Raises `DeviceNameTaken` and
        `TooManyDevices`."""
        return self._create(RegisteredDevice, _path("devices"), {"device_name": device_name}, idempotency_key)

    @stream
    def devices(self) -> StreamSteps[Device]:
        """The owner's devices, oldest first. Pages are fetched as elements are read."""
        return self._pages(Device, query(_path("devices"), limit=_LONG_PAGE))

    @operation
    def device(self, device_id: str) -> Steps[Device]:
        """One device. Raises `DeviceNotFound`, or `NotOwner` if it is another owner's."""
        return self._call(Device, "GET", _path("devices", path_id(device_id)))

    @operation
    def update(self, device_id: str, *, device_name: str = UNCHANGED) -> Steps[Device]:
        """Changes a device. Raises as `device`, `DeviceNameTaken`, and `DeviceRevoked`."""
        return self._call(Device, "PATCH", _path("devices", path_id(device_id)), _changes(device_name=device_name))

    @operation
    def revoke(self, device_id: str, *, reason: str | None = None) -> Steps[None]:
        """Revokes a device, which is final. Repeating it has no effect. Raises as `device`."""
        return self._tell("POST", _path("devices", path_id(device_id), "revoke"), _given(reason=reason))

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
        body = _given(grace_seconds=grace_seconds, reason=reason)
        return self._create(RegisteredDevice, _path("devices", path_id(device_id), "rotate"), body, idempotency_key)

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
        body = {"count": count, **_given(expires_in=expires_in, device_name=device_name)}
        answer = yield from create(self._retries, _request("POST", _path("enrolments"), body), idempotency_key)
        return read_list(IssuedEnrolment, answer.json())

    @operation
    def create_device_enrolment(
        self, device_id: str, *, expires_in: int | None = None, idempotency_key: str | None = None
    ) -> Steps[IssuedEnrolment]:
        """Creates a code that gives this device a new secret and ends the old one, for a terminal that moves. Raises as
        `device`, `DeviceRevoked` and `TooManyEnrolments`."""
        path = _path("devices", path_id(device_id), "enrolment")
        return self._create(IssuedEnrolment, path, _given(expires_in=expires_in), idempotency_key)

    @stream
    def enrolments(self) -> StreamSteps[Enrolment]:
        """The owner's enrolments, oldest first, without their codes. Used and expired ones are kept for a week."""
        return self._pages(Enrolment, query(_path("enrolments"), limit=_LONG_PAGE))

    @operation
    def delete_enrolment(self, enrolment_id: str) -> Steps[None]:
        """Deletes an enrolment, whose code no longer works. Raises `EnrolmentNotFound` and `NotOwner`."""
        return self._tell("DELETE", _path("enrolments", path_id(enrolment_id)))

    # Signals

    @operation
    def send(
        self,
        payload: Mapping[str, Any],
        *,
        device_ids: Sequence[str] | None = None,
        all: bool = False,
        ttl_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Signal]:
        """Sends a signal to exactly one of: the devices of `device_ids` (1 to 1000), or `all`, those that are active now. The
        payload is at most 16 KiB of JSON. Devices get it for `ttl_seconds` (1 to 604,800; None means an hour).

        Raises `NotOwner`, `DeviceNotFound` or `DeviceRevoked`; then nothing is created.
        """
        selector = _given(device_ids=None if device_ids is None else list(device_ids), all=all or None)
        if len(selector) != 1:
            raise InvalidArgument("exactly one of device_ids and all is needed")
        body = {"payload": dict(payload), **selector, **_given(ttl_seconds=ttl_seconds)}
        return self._create(Signal, _path("signals"), body, idempotency_key)

    @stream
    def signals(self) -> StreamSteps[Signal]:
        """The owner's signals, newest first. Pages are fetched as elements are read."""
        return self._pages(Signal, query(_path("signals"), limit=_SHORT_PAGE))

    @operation
    def signal(self, signal_id: str) -> Steps[SentSignal]:
        """One signal, with its payload and the first deliveries, at most 1000. Raises `SignalNotFound` and `NotOwner`."""
        return self._call(SentSignal, "GET", _path("signals", path_id(signal_id)))

    @stream
    def deliveries(self, signal_id: str) -> StreamSteps[Delivery]:
        """All deliveries of a signal, one for each device. Raises as `signal`."""
        target = query(_path("signals", path_id(signal_id)), limit=_LONG_PAGE)
        return self._pages(Delivery, target, lambda answer: _member(answer, "deliveries"))

    # Events

    @operation
    def events(
        self,
        *,
        after: str | None = None,
        types: Sequence[str] | None = None,
        device_id: str | None = None,
        limit: int = _SHORT_PAGE,
        wait: int = 0,
    ) -> Steps[EventPage]:
        """Events in the order of commit, oldest first. If there are none, waits up to `wait` (0 to 30) seconds for one. Raises
        `CursorExpired`.

        `after` is the `next` of the page before; `"now"` for what happens from now on; None for the oldest event that is
        kept. `types` are types of events, and patterns such as `device.*`; None for all.
        """
        path = _path("events")
        return _event_page((yield from perform(self._retries, _feed(path, after, types, device_id, limit, wait))))

    @operation
    def client_events(
        self,
        client_id: str,
        *,
        after: str | None = None,
        types: Sequence[str] | None = None,
        device_id: str | None = None,
        limit: int = _SHORT_PAGE,
        wait: int = 0,
    ) -> Steps[EventPage]:
        """For administrators: the same, of any client; also of a deleted one."""
        path = _path("clients", _name(client_id), "events")
        return _event_page((yield from perform(self._retries, _feed(path, after, types, device_id, limit, wait))))

    @stream
    def event_pages(
        self,
        *,
        after: str | None = None,
        types: Sequence[str] | None = None,
        device_id: str | None = None,
        limit: int = _SHORT_PAGE,
        wait: int = 25,
        on_failure: Callable[[RegistryError], object] = lambda error: None,
    ) -> StreamSteps[EventPage]:
        """The events as they happen, page after page, without end.

        Store the `next` of a page after you have handled its events, also of a page without events, and begin there after a
        restart: then no event is missed or repeated.

        Temporary failures are retried without limit, with growing pauses and after `Retry-After`; `on_failure` is called with
        each. Permanent failures are raised: `CursorExpired`, `TokenInvalid` and others.
        """
        path = _path("events")
        while True:
            # A request that waits from now on and fails would lose what happened meanwhile: take the position first.
            call = _feed(path, after, types, device_id, limit, 0 if after == "now" else wait)
            start = time.monotonic()
            page = _event_page((yield from until_answered(self._retries, call, on_failure)))
            yield Item(page)
            if page.retry_after_seconds is not None:
                yield Pause(self._retries.pause_seconds(1, page.retry_after_seconds))
            elif not page.events and page.next == after:
                yield Pause(max(0.0, _MINIMUM_INTERVAL_SECONDS - (time.monotonic() - start)))
            after = page.next

    # Webhooks

    @operation
    def create_webhook(
        self,
        url: str,
        *,
        types: Sequence[str] | None = None,
        description: str | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[CreatedWebhook]:
        """Creates a webhook and returns it with its secret, which is shown only once. `types` are types of events, and patterns
        such as `device.*`; None for all. Raises `SealingKeyMissing` and `TooManyWebhooks`."""
        body = _given(url=url, types=None if types is None else list(types), description=description)
        return self._create(CreatedWebhook, _path("webhooks"), body, idempotency_key)

    @stream
    def webhooks(self) -> StreamSteps[Webhook]:
        """The owner's webhooks, oldest first."""
        return self._pages(Webhook, _path("webhooks"))

    @operation
    def webhook(self, webhook_id: str) -> Steps[Webhook]:
        """One webhook. Raises `WebhookNotFound`, or `NotOwner` if it is another owner's."""
        return self._call(Webhook, "GET", _path("webhooks", path_id(webhook_id)))

    @operation
    def update_webhook(
        self,
        webhook_id: str,
        *,
        url: str = UNCHANGED,
        types: Sequence[str] | None = UNCHANGED,
        description: str | None = UNCHANGED,
        enabled: bool = UNCHANGED,
    ) -> Steps[Webhook]:
        """Changes a webhook. `types=None` means all; `enabled=False` stops the deliveries, and `True` continues after the last
        one. Raises as `webhook`."""
        listed = list(types) if isinstance(types, Sequence) else types
        body = _changes(url=url, types=listed, description=description, enabled=enabled)
        return self._call(Webhook, "PATCH", _path("webhooks", path_id(webhook_id)), body)

    @operation
    def delete_webhook(self, webhook_id: str) -> Steps[None]:
        """Deletes a webhook and the log of its deliveries. Raises as `webhook`."""
        return self._tell("DELETE", _path("webhooks", path_id(webhook_id)))

    @operation
    def test_webhook(self, webhook_id: str) -> Steps[WebhookDelivery]:
        """Posts a test event, and returns what the receiver answered. Raises as `webhook`."""
        path = _path("webhooks", path_id(webhook_id), "test")
        return self._call(WebhookDelivery, "POST", path, timeout_seconds=_WEBHOOK_TEST_TIMEOUT_SECONDS)

    @stream
    def webhook_deliveries(self, webhook_id: str) -> StreamSteps[WebhookDelivery]:
        """The last attempts to deliver events, newest first. Raises as `webhook`."""
        target = query(_path("webhooks", path_id(webhook_id), "deliveries"), limit=_SHORT_PAGE)
        return self._pages(WebhookDelivery, target)

    @operation
    def redeliver(self, webhook_id: str, *, after: str) -> Steps[Webhook]:
        """Delivers again all events after a position of the feed, the `next` of an `EventPage`. Raises as `webhook`, and
        `CursorExpired`."""
        return self._call(Webhook, "POST", _path("webhooks", path_id(webhook_id), "redeliver"), {"after": after})

    # Clients: these need a token whose scope includes registry:admin.

    @operation
    def add_client(
        self,
        *,
        id: str | None = None,
        email: str | None = None,
        telegram_id: int | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Client]:
        """For administrators: adds a client; without an id, with a new UUID. Raises `ClientIDTaken` and `ClientEmailTaken`."""
        body = _given(id=id, email=email, telegram_id=telegram_id)
        return self._create(Client, _path("clients"), body, idempotency_key)

    @stream
    def clients(self) -> StreamSteps[Client]:
        """For administrators: the clients, oldest first."""
        return self._pages(Client, query(_path("clients"), limit=_LONG_PAGE))

    @operation
    def client(self, client_id: str) -> Steps[Client]:
        """For administrators: one client. Raises `ClientNotFound`."""
        return self._call(Client, "GET", _path("clients", _name(client_id)))

    @operation
    def delete_client(self, client_id: str) -> Steps[None]:
        """For administrators: deletes a client, its devices and everything that belongs to them. Raises `ClientNotFound`."""
        return self._tell("DELETE", _path("clients", _name(client_id)))


def _request(method: str, path: str, body: object = None, timeout_seconds: float = TIMEOUT_SECONDS) -> Call:
    return Call(method, path, None if body is None else json_body(body, "the request"), timeout_seconds)


def _feed(path: str, after: str | None, types: Sequence[str] | None, device_id: str | None, limit: int, wait: int) -> Call:
    check_bounds("limit", limit, 1, _MAXIMUM_EVENTS)
    check_bounds("wait", wait, 0, MAXIMUM_WAIT_SECONDS)
    target = query(
        path,
        limit=limit,
        wait=wait,
        after=after,
        types=None if types is None else ",".join(types),
        device_id=None if device_id is None else path_id(device_id),
    )
    return Call("GET", target, timeout_seconds=wait + TIMEOUT_SECONDS)


def _event_page(answer: Answer) -> EventPage:
    return dataclasses.replace(read(EventPage, answer.json()), retry_after_seconds=answer.retry_after_seconds)


def _member(answer: Answer, name: str) -> object:
    members = answer.json()
    return members.get(name) if isinstance(members, dict) else None


def _next_link(field: str | None, target: str) -> str | None:
    """The target of `Link: <...>; rel="next"` (RFC 8288); None without one. Raises `MalformedAnswer` if it has another path
    than the page before or is the same page: the token is for this list, and a list must end."""
    match = _NEXT_LINK.search(field or "")
    if match is None:
        return None
    link = match[1]
    if not _PRINTABLE.fullmatch(link) or link.partition("?")[0] != target.partition("?")[0] or link == target:
        raise MalformedAnswer("the answer is not what the registry sends: Link leads to another list")
    return link


class OwnerClient(_OwnerOperations, SyncRunner):
    """The registry, for the owner of devices, and for administrators.

        with OwnerClient("https://registry.example.com", token_file="token") as owner:
            device = owner.register("EA-London")
            device.save("ea.key")
            owner.send({"symbol": "EURUSD", "side": "buy"}, all=True)

    Give a `token`, a JWT or a function that returns it, which is called before each request; or a `token_file` that only its
    owner can read, which is read before each request.

    Retries requests that fail temporarily, following the `RetryPolicy`, if repeating them is harmless. Those that create
    something are not harmless, unless they have an `idempotency_key`: 1 to 64 visible ASCII characters, for example a UUID,
    that name one request. A request that is repeated with the key within 24 hours, by this library or by its caller, does
    nothing again. Without a key, check after `Unreachable`, `TimedOut` and `Unavailable` whether the request took effect.
    If the answer with a secret is lost, repeating the request raises `SecretAlreadyShown`.
    """

    def __init__(
        self,
        url: str,
        token: Token | None = None,
        *,
        token_file: str | None = None,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._retries = retries
        super().__init__(url, _token_auth(token, token_file), allow_insecure_http=allow_insecure_http, ca_file=ca_file)


class AsyncOwnerClient(_OwnerOperations, AsyncRunner):
    """`OwnerClient` for asyncio and trio: `async with`, `await owner.register(...)`, `async for device in owner.devices()`. A
    `token` function may be asynchronous."""

    def __init__(
        self,
        url: str,
        token: AsyncToken | None = None,
        *,
        token_file: str | None = None,
        allow_insecure_http: bool = False,
        ca_file: str | None = None,
        retries: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._retries = retries
        super().__init__(url, _token_auth(token, token_file), allow_insecure_http=allow_insecure_http, ca_file=ca_file)


def _token_auth(token: AsyncToken | None, path: str | None) -> TokenAuth:
    if (token is None) == (path is None):
        raise InvalidArgument("exactly one of token and token_file is needed")
    return TokenAuth(token_file(path) if path is not None else token)  # type: ignore[arg-type]
