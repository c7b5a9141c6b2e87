"""How an owner's calls become requests, and what they share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, TypeVar
from urllib.parse import quote

from ._errors import InvalidArgument, MalformedAnswer
from ._messages import TIMEOUT_SECONDS, Answer, Call, json_body
from ._reading import read, read_list
from ._retry import RetryPolicy, create, perform
from ._steps import Item, Steps, StreamSteps

T = TypeVar("T")

LONG_PAGE = 1000
SHORT_PAGE = 100
"""Elements per page of a list."""
_NEXT_LINK = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')
_PRINTABLE = re.compile(r"[!-~]+")


class _Unchanged:
    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final[Any] = _Unchanged()
"""Of an argument: the value stays what it is. None removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Devices of the owner. Give exactly one argument; all but `device_ids` mean devices that are not revoked."""

    device_ids: Sequence[str] | None = None
    """1 to 1000 devices; repeated ids count once."""
    all: bool = False
    """All devices."""
    group: str | None = None
    """The devices in this group."""
    labels: Mapping[str, str] | None = None
    """The devices that have all of these labels."""

    def __post_init__(self) -> None:
        if len(self.members()) != 1:
            raise InvalidArgument("exactly one of device_ids, all, group and labels is needed")

    def members(self) -> dict[str, object]:
        """As the registry reads it."""
        return given(
            device_ids=None if self.device_ids is None else list(self.device_ids),
            all=True if self.all else None,
            group=self.group,
            labels=None if self.labels is None else dict(self.labels),
        )


def given(**members: object) -> dict[str, object]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def changes(**members: object) -> dict[str, object]:
    """The members that are not `UNCHANGED`."""
    return {name: value for name, value in members.items() if value is not UNCHANGED}


def time_text(time: datetime | None) -> str | None:
    """A time in RFC 3339. Raises `InvalidArgument` for one without a time zone, whose meaning depends on the machine."""
    if time is None:
        return None
    if time.utcoffset() is None:
        raise InvalidArgument("a time needs a time zone: datetime.now(timezone.utc), for example")
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def path(*parts: str) -> str:
    """A path of the API."""
    return "/".join(["/api/v1", *parts])


def path_name(name: str) -> str:
    """A name as a part of a path. Raises `InvalidArgument` for one that would change the path."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        raise InvalidArgument("the id or name must be text, and not . or ..")
    return quote(name, safe="")


class OwnerCalls:
    """Requests of an owner, as steps."""

    _retries: RetryPolicy

    def _call(self, kind: type[T], method: str, path: str, body: object = None, **options: Any) -> Steps[T]:
        """A request that may be repeated."""
        answer = yield from perform(self._retries, request(method, path, body, **options))
        return read(kind, answer.json())

    def _tell(self, method: str, path: str, body: object = None) -> Steps[None]:
        """The same, without content in the answer."""
        yield from perform(self._retries, request(method, path, body))

    def _create(self, kind: type[T], path: str, body: object, idempotency_key: str | None) -> Steps[T]:
        answer = yield from create(self._retries, request("POST", path, body), idempotency_key)
        return read(kind, answer.json())

    def _pages(self, kind: type[T], target: str, elements: Callable[[Answer], object] = Answer.json) -> StreamSteps[T]:
        """The elements of a list, page after page."""
        following: str | None = target
        while following is not None:
            answer = yield from perform(self._retries, Call("GET", following))
            for element in read_list(kind, elements(answer)):
                yield Item(element)
            following = next_link(answer.fields.get("link"), following)


def request(method: str, path: str, body: object = None, timeout_seconds: float = TIMEOUT_SECONDS) -> Call:
    """A request with a JSON body, if there is one."""
    return Call(method, path, None if body is None else json_body(body, "the request"), timeout_seconds)


def next_link(field: str | None, target: str) -> str | None:
    """The target of `Link: <...>; rel="next"` (RFC 8288); None without one. Raises `MalformedAnswer` if it has another path
    than the page before or is the same page: the token is for this list, and a list must end."""
    match = _NEXT_LINK.search(field or "")
    if match is None:
        return None
    link = match[1]
    if not _PRINTABLE.fullmatch(link) or link.partition("?")[0] != target.partition("?")[0] or link == target:
        raise MalformedAnswer("the answer is not what the registry sends: Link leads to another list")
    return link
