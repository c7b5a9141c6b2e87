"""Authentication for httpx: a device's signatures, and an owner's tokens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import TypeAlias, cast

import httpx

from ._credentials import Credentials, read_secret_file
from ._errors import (
    AnswerTooLarge,
    InvalidArgument,
    Redirected,
    RegistryError,
    SecretFileError,
    TimedOut,
    TokenUnavailable,
    UnexpectedAnswer,
)
from ._messages import MAXIMUM_ANSWER_BYTES, Answer
from ._origin import is_loopback
from ._signing import SignedExchange

DEADLINE = "device_registry.deadline"
"""The extension of a request with the monotonic time at which its answer must be complete."""
SIGNED = "device_registry.signed"
"""The extension of a response that says whether its signature was verified."""


class DeviceAuth(httpx.Auth):
    """Signs the requests of an httpx client with a device's secret, and verifies the answers. Repeats a request once if the
    registry says that the device's clock is wrong.

        httpx.Client(base_url="https://registry.example.com", auth=DeviceAuth(credentials))

    A 2xx answer that the registry did not sign raises `ForgedAnswer`; so does any answer with a signature that is wrong.
    Other refusals are ordinary responses. Use no `follow_redirects`: a redirect raises `Redirected`. Requests to another
    machine need https, unless `allow_insecure_http`. One object may serve several clients and threads.
    """

    def __init__(self, credentials: Credentials, *, allow_insecure_http: bool = False) -> None:
        self.exchange = SignedExchange(credentials)
        self._allow_insecure_http = allow_insecure_http

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        flow = self._flow(request, request.read())
        next(flow)
        while True:
            response = yield request
            bound(response)
            response.read()
            if not _advance(flow, response):
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        flow = self._flow(request, await request.aread())
        next(flow)
        while True:
            response = yield request
            bound(response)
            await response.aread()
            if not _advance(flow, response):
                return

    def _flow(self, request: httpx.Request, body: bytes) -> Generator[None, httpx.Response, None]:
        """Signs the request before each attempt, and verifies the answer that it is sent."""
        if request.url.scheme != "https" and not self._allow_insecure_http and not is_loopback(request.url.host):
            raise InvalidArgument("plain HTTP is only allowed to this machine; use https, or allow_insecure_http=True")
        # The signature covers the body before any coding.
        request.headers["Accept-Encoding"] = "identity"
        attempts = self.exchange.attempts(request.method, request.url.raw_path.decode("ascii"), body)
        fields = next(attempts)
        while True:
            request.headers.update(fields)
            response = yield
            # The history has the earlier attempt, too.
            if any(earlier.has_redirect_location for earlier in [*response.history, response]):
                raise Redirected(response.status_code)
            try:
                fields = attempts.send(answer(response))
            except StopIteration as stop:
                response.extensions[SIGNED] = stop.value
                return


def _advance(flow: Generator[None, httpx.Response, None], response: httpx.Response) -> bool:
    """Whether another attempt follows."""
    try:
        flow.send(response)
    except StopIteration:
        return False
    return True


Token: TypeAlias = str | Callable[[], str]
"""A JWT, or a function that returns it. The function is called before each request, to renew tokens that expire."""
AsyncToken: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""The same for an asynchronous client, whose function may be asynchronous."""


class AnonymousAuth(httpx.Auth):
    """Needs no authentication. Limits the answers, as the other kinds do."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        self._prepare(request, self._token())
        response = yield request
        bound(response)
        response.read()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = self._token()
        if isinstance(token, Awaitable):
            with _token_failures():
                token = await token
        self._prepare(request, token)
        response = yield request
        bound(response)
        await response.aread()

    def _token(self) -> object:
        return None

    def _prepare(self, request: httpx.Request, token: object) -> None:
        request.headers["Accept-Encoding"] = "identity"


class TokenAuth(AnonymousAuth):
    """Sends an owner's token with each request."""

    def __init__(self, token: AsyncToken) -> None:
        self._source = (lambda: token) if isinstance(token, str) else token

    def __repr__(self) -> str:
        return "TokenAuth(<redacted>)"

    def _token(self) -> object:
        with _token_failures():
            return self._source()

    def _prepare(self, request: httpx.Request, token: object) -> None:
        super()._prepare(request, token)
        # RFC 6750, section 2.1. A line break would start another header field.
        if not isinstance(token, str) or not token or not all("!" <= character <= "~" for character in token):
            raise InvalidArgument("token must be visible ASCII characters without spaces")
        request.headers["Authorization"] = f"Bearer {token}"


@contextlib.contextmanager
def _token_failures() -> Iterator[None]:
    try:
        yield
    except RegistryError:
        raise
    except Exception as error:
        raise TokenUnavailable(f"no token is available: {error}") from error


def token_file(path: str) -> Callable[[], str]:
    """A function that reads a token from a file that only its owner can read. Replace the file to renew the token. Raises
    `SecretFileError`, then and now."""

    def read() -> str:
        words = read_secret_file(path, "get another token").split()
        if len(words) != 1:
            raise SecretFileError(f"cannot use {path}: it must contain a token and nothing else")
        return words[0]

    read()
    return read


def answer(response: httpx.Response) -> Answer:
    """A response that was read."""
    fields = {name.lower(): response.headers[name] for name in response.headers}
    return Answer(response.status_code, fields, response.content, response.extensions.get(SIGNED, False))


def bound(response: httpx.Response) -> None:
    """Limits the bytes and the time of a body that will be read. Raises `UnexpectedAnswer` for a coded body, which the
    registry never sends: a small one can be decoded to a very large one."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnexpectedAnswer(response.status_code)
    response.stream = _BoundedStream(response.stream, response.request.extensions.get(DEADLINE))


class _BoundedStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, deadline: float | None) -> None:
        self._stream = stream
        self._deadline = deadline
        self._count = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in cast(httpx.SyncByteStream, self._stream):
            yield self._checked(piece)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in cast(httpx.AsyncByteStream, self._stream):
            yield self._checked(piece)

    def _checked(self, piece: bytes) -> bytes:
        self._count += len(piece)
        if self._count > MAXIMUM_ANSWER_BYTES:
            raise AnswerTooLarge(f"the answer has more than {MAXIMUM_ANSWER_BYTES} bytes and is ignored")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimedOut("the answer was not complete in time; try again")
        return piece

    def close(self) -> None:
        cast(httpx.SyncByteStream, self._stream).close()

    async def aclose(self) -> None:
        await cast(httpx.AsyncByteStream, self._stream).aclose()
