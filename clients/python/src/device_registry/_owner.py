"""The registry, for the owner of devices."""

from __future__ import annotations

from ._auth import AsyncToken, Token, TokenAuth, token_file
from ._errors import InvalidArgument
from ._owner_bulk import BulkRoutes
from ._owner_clients import ClientRoutes
from ._owner_devices import DeviceRoutes
from ._owner_events import EventRoutes
from ._owner_groups import GroupRoutes
from ._owner_signals import SignalRoutes
from ._owner_statistics import StatisticsRoutes
from ._owner_telegram import TelegramRoutes
from ._owner_webhooks import WebhookRoutes
from ._retry import RetryPolicy
from ._runners import AsyncRunner, SyncRunner


class _Routes(
    DeviceRoutes,
    StatisticsRoutes,
    GroupRoutes,
    BulkRoutes,
    SignalRoutes,
    EventRoutes,
    WebhookRoutes,
    TelegramRoutes,
    ClientRoutes,
):
    """The calls that both clients have."""


class OwnerClient(_Routes, SyncRunner):
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


class AsyncOwnerClient(_Routes, AsyncRunner):
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
