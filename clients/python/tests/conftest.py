from __future__ import annotations

import contextlib
import inspect
import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from registry import Proxy, ProxyAnswer, Registry

from device_registry import (
    AsyncDeviceClient,
    AsyncOwnerClient,
    Credentials,
    DeviceClient,
    OwnerClient,
    RegisteredDevice,
)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A service that all tests share; each test has its own client."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    yield registry
    registry.stop()


@pytest.fixture
def token(registry: Registry) -> str:
    """A token of a new client."""
    return registry.token(f"client-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def owner(registry: Registry, token: str) -> Iterator[OwnerClient]:
    with OwnerClient(registry.url, token) as owner:
        yield owner


@pytest.fixture
def credentials(owner: OwnerClient) -> Credentials:
    """Of a new device of the owner."""
    return owner.register("EA").credentials()


@pytest.fixture
def device(registry: Registry, credentials: Credentials) -> Iterator[DeviceClient]:
    with DeviceClient(registry.url, credentials) as device:
        yield device


class _Blocking:
    """An asynchronous client, with blocking calls: the same tests hold for both kinds of clients."""

    def __init__(self, client: Any, portal: BlockingPortal, stack: contextlib.ExitStack) -> None:
        self._client = client
        self._portal = portal
        self._stack = stack

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if not callable(member):
            return member

        def call(*arguments: Any, **named: Any) -> Any:
            result = member(*arguments, **named)
            if inspect.isawaitable(result):
                return self._portal.call(lambda: result)
            if not inspect.isasyncgen(result):
                return result
            self._stack.callback(lambda: self._portal.call(result.aclose))
            return self._iterate(result)

        return call

    def _iterate(self, elements: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._portal.call(elements.__anext__)
            except StopAsyncIteration:
                return


Opener = Callable[..., Any]


class Kind:
    """Blocking or asynchronous clients."""

    def __init__(self, portal: BlockingPortal | None, stack: contextlib.ExitStack) -> None:
        self._portal = portal
        self._stack = stack

    def opener(self, sync: Any, asynchronous: Any) -> Opener:
        """What opens a client."""

        def open_client(*arguments: Any, **named: Any) -> Any:
            if self._portal is None:
                return self._stack.enter_context(sync(*arguments, **named))
            client = self._portal.wrap_async_context_manager(asynchronous(*arguments, **named))
            return _Blocking(self._stack.enter_context(client), self._portal, self._stack)

        return open_client

    def function(self, sync: Callable[..., Any], asynchronous: Callable[..., Any]) -> Callable[..., Any]:
        """What calls a function."""

        def call(*arguments: Any, **named: Any) -> Any:
            if self._portal is None:
                return sync(*arguments, **named)
            return self._portal.call(lambda: asynchronous(*arguments, **named))

        return call


@pytest.fixture(params=["sync", "asyncio", "trio"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    with contextlib.ExitStack() as stack:
        yield Kind(None if request.param == "sync" else stack.enter_context(start_blocking_portal(request.param)), stack)


@pytest.fixture
def open_device(kind: Kind) -> Opener:
    """Opens a device client, blocking or asynchronous."""
    return kind.opener(DeviceClient, AsyncDeviceClient)


@pytest.fixture
def open_owner(kind: Kind) -> Opener:
    """Opens an owner client, blocking or asynchronous."""
    return kind.opener(OwnerClient, AsyncOwnerClient)


@pytest.fixture
def enrol(kind: Kind) -> Callable[..., RegisteredDevice]:
    """Uses a code, blocking or asynchronously."""
    return kind.function(DeviceClient.enrol, AsyncDeviceClient.enrol)


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    """A proxy in front of the service; set its `change`."""
    with Proxy(registry.url).running() as proxy:
        yield proxy


def first(count: int, elements: Iterator[Any]) -> list[Any]:
    """The first elements of a stream that may be without end."""
    return list(itertools.islice(elements, count))


def always(answer: ProxyAnswer) -> Callable[[ProxyAnswer], ProxyAnswer]:
    """A change that answers everything with this."""
    return lambda _: answer
