"""What takes the steps of operations: a blocking and an asynchronous client on httpx."""

from __future__ import annotations

import functools
import inspect
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

import anyio  # httpx requires it.
import httpx

from ._auth import DEADLINE, answer
from ._errors import InvalidArgument, RegistryError, TimedOut, Unreachable, Untrusted
from ._messages import Answer, Call
from ._origin import origin
from ._steps import Exchange, Item, Pause, Steps, StreamSteps
from ._version import __version__

T = TypeVar("T")
P = ParamSpec("P")
Self = TypeVar("Self")

_MAXIMUM_CONNECTIONS = 6
"""Connections to the registry, in use or idle. Further requests wait for one."""


class _Connection:
    """The registry's URL, and how requests become httpx's."""

    def __init__(self, url: str, *, allow_insecure_http: bool, ca_file: str | None) -> None:
        self._origin, is_plain_loopback = origin(url, allow_insecure_http=allow_insecure_http)
        try:
            verify: ssl.SSLContext | bool = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgument(f"ca_file cannot be used: {error}") from None
        self._options: dict[str, Any] = {
            "verify": verify,
            # Proxies of the environment, but none for plain HTTP to this machine.
            "trust_env": not is_plain_loopback,
            "follow_redirects": False,
            "headers": {"User-Agent": f"device-registry-client-python/{__version__}", "Accept": "application/json"},
            "limits": httpx.Limits(max_connections=_MAXIMUM_CONNECTIONS, max_keepalive_connections=_MAXIMUM_CONNECTIONS),
        }

    def _request(self, http: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
        fields = dict(call.fields)
        if call.body is not None:
            fields["Content-Type"] = "application/json"
        return http.build_request(
            call.method,
            self._origin + call.target,
            content=call.body,
            headers=fields,
            timeout=call.timeout_seconds,
            extensions={DEADLINE: time.monotonic() + call.timeout_seconds},
        )


def _failure(error: httpx.HTTPError, call: Call) -> RegistryError:
    if isinstance(error, httpx.TimeoutException):
        return _timed_out(call)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Untrusted(
                f"the server's certificate is not trusted ({cause.verify_message}); check the URL, and the certificates "
                "to trust (ca_file, --ca-file or SSL_CERT_FILE)"
            )
        cause = cause.__cause__ or cause.__context__
    return Unreachable(f"cannot reach the registry: {error or type(error).__name__}")


def _timed_out(call: Call) -> TimedOut:
    return TimedOut(f"no answer in {call.timeout_seconds:g} s; try again")


class SyncRunner(_Connection):
    """Takes steps one after another, blocking."""

    def __init__(self, url: str, auth: httpx.Auth, *, allow_insecure_http: bool, ca_file: str | None) -> None:
        super().__init__(url, allow_insecure_http=allow_insecure_http, ca_file=ca_file)
        self._http = httpx.Client(auth=auth, **self._options)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _take(self, step: Exchange | Pause) -> Answer | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return answer(self._http.send(self._request(self._http, step.call)))
        except httpx.HTTPError as error:
            raise _failure(error, step.call) from error

    def _iterate(self, steps: StreamSteps[T]) -> Iterator[T]:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = steps.send(None)
                    continue
                try:
                    result = self._take(step)
                except RegistryError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration:
            return
        finally:
            steps.close()

    def _run(self, steps: Steps[T]) -> T:
        # There is exactly one.
        [result] = self._iterate(_as_stream(steps))
        return result


class AsyncRunner(_Connection):
    """Takes steps one after another, on the event loop of asyncio or trio."""

    def __init__(self, url: str, auth: httpx.Auth, *, allow_insecure_http: bool, ca_file: str | None) -> None:
        super().__init__(url, allow_insecure_http=allow_insecure_http, ca_file=ca_file)
        self._http = httpx.AsyncClient(auth=auth, **self._options)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _take(self, step: Exchange | Pause) -> Answer | None:
        if isinstance(step, Pause):
            await anyio.sleep(step.seconds)
            return None
        try:
            with anyio.fail_after(step.call.timeout_seconds):
                return answer(await self._http.send(self._request(self._http, step.call)))
        except TimeoutError:
            raise _timed_out(step.call) from None
        except httpx.HTTPError as error:
            raise _failure(error, step.call) from error

    async def _iterate(self, steps: StreamSteps[T]) -> AsyncIterator[T]:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = steps.send(None)
                    continue
                try:
                    result = await self._take(step)
                except RegistryError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration:
            return
        finally:
            steps.close()

    async def _run(self, steps: Steps[T]) -> T:
        [result] = [result async for result in self._iterate(_as_stream(steps))]
        return result


def _as_stream(steps: Steps[T]) -> StreamSteps[T]:
    result = yield from steps
    yield Item(result)


class _Method(Generic[P, T]):
    """A method of a client that is written as steps. It has the documentation and the parameters of its function."""

    _result: ClassVar[str] = "{}"
    """The type of what it returns, in a blocking client, for the type of what its steps result in."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        signature = inspect.signature(function)
        result = self._result.format(str(signature.return_annotation).partition("[")[2].removesuffix("]"))
        self._signature = signature.replace(return_annotation=result)
        self._unbound = self._documented(lambda instance, *arguments, **named: self._of(instance)(*arguments, **named))

    def _documented(self, method: Callable[..., Any], *, is_bound: bool = False) -> Any:
        """A function that `help` shows as the method."""
        functools.update_wrapper(method, self._function)
        del method.__wrapped__  # type: ignore[attr-defined]
        parameters = list(self._signature.parameters.values())[1 if is_bound else 0 :]
        method.__signature__ = self._signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return method

    def _of(self, instance: Any) -> Any:
        """The method of a client."""
        raise NotImplementedError


class operation(_Method[P, T]):  # noqa: N801, because it is a decorator
    """A method that returns a result; a coroutine function in an asynchronous client."""

    def __init__(self, function: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        super().__init__(function)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Callable[Concatenate[Any, P], Any]: ...
    @overload
    def __get__(self, instance: SyncRunner, owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: AsyncRunner, owner: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self._unbound if instance is None else self._of(instance)

    def _of(self, instance: Any) -> Any:
        if isinstance(instance, SyncRunner):

            def method(*arguments: P.args, **named: P.kwargs) -> T:
                steps: Steps[T] = self._function(instance, *arguments, **named)
                return instance._run(steps)

            return self._documented(method, is_bound=True)

        async def coroutine(*arguments: P.args, **named: P.kwargs) -> T:
            result: T = await instance._run(self._function(instance, *arguments, **named))
            return result

        return self._documented(coroutine, is_bound=True)


class stream(_Method[P, T]):  # noqa: N801, because it is a decorator
    """A method that returns an iterator; an asynchronous one in an asynchronous client."""

    _result = "Iterator[{}]"

    def __init__(self, function: Callable[Concatenate[Any, P], StreamSteps[T]]) -> None:
        super().__init__(function)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Callable[Concatenate[Any, P], Any]: ...
    @overload
    def __get__(self, instance: SyncRunner, owner: Any = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, instance: AsyncRunner, owner: Any = None) -> Callable[P, AsyncIterator[T]]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self._unbound if instance is None else self._of(instance)

    def _of(self, instance: Any) -> Any:
        def method(*arguments: P.args, **named: P.kwargs) -> Any:
            return instance._iterate(self._function(instance, *arguments, **named))

        return self._documented(method, is_bound=True)
