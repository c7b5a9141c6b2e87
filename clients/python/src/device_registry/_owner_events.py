"""The feed of events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from ._credentials import path_id
from ._device import MAXIMUM_WAIT_SECONDS, check_bounds
from ._errors import RegistryError
from ._messages import TIMEOUT_SECONDS, Answer, Call, query
from ._models import EventPage
from ._owner_calls import SHORT_PAGE, OwnerCalls, path, path_name
from ._reading import read
from ._retry import perform, until_answered
from ._runners import operation, stream
from ._steps import Item, Pause, Steps, StreamSteps

_MAXIMUM_EVENTS = 1000
_MINIMUM_INTERVAL_SECONDS = 1.0
"""The shortest time between requests of the feed that show nothing new."""


class EventRoutes(OwnerCalls):
    """What happened."""

    @operation
    def events(
        self,
        *,
        after: str | None = None,
        types: Sequence[str] | None = None,
        device_id: str | None = None,
        limit: int = SHORT_PAGE,
        wait: int = 0,
    ) -> Steps[EventPage]:
        """Events in the order of commit, oldest first. If there are none, waits up to `wait` (0 to 30) seconds for one. Raises
        `CursorExpired`.

        `after` is the `next` of the page before; `"now"` for what happens from now on; None for the oldest event that is
        kept. `types` are types of events, and patterns such as `device.*`; None for all.
        """
        target = path("events")
        return _event_page((yield from perform(self._retries, _feed(target, after, types, device_id, limit, wait))))

    @operation
    def client_events(
        self,
        client_id: str,
        *,
        after: str | None = None,
        types: Sequence[str] | None = None,
        device_id: str | None = None,
        limit: int = SHORT_PAGE,
        wait: int = 0,
    ) -> Steps[EventPage]:
        """For administrators: the same, of any client; also of a deleted one."""
        target = path("clients", path_name(client_id), "events")
        return _event_page((yield from perform(self._retries, _feed(target, after, types, device_id, limit, wait))))

    @stream
    def event_pages(
        self,
        *,
        after: str | None = None,
        types: Sequence[str] | None = None,
        device_id: str | None = None,
        limit: int = SHORT_PAGE,
        wait: int = 25,
        on_failure: Callable[[RegistryError], object] = lambda error: None,
    ) -> StreamSteps[EventPage]:
        """The events as they happen, page after page, without end.

        Store the `next` of a page after you have handled its events, also of a page without events, and begin there after a
        restart: then no event is missed or repeated.

        Temporary failures are retried without limit, with growing pauses and after `Retry-After`; `on_failure` is called with
        each. Permanent failures are raised: `CursorExpired`, `TokenInvalid` and others.
        """
        target = path("events")
        while True:
            # A request that waits from now on and fails would lose what happened meanwhile: take the position first.
            call = _feed(target, after, types, device_id, limit, 0 if after == "now" else wait)
            start = time.monotonic()
            page = _event_page((yield from until_answered(self._retries, call, on_failure)))
            yield Item(page)
            if page.retry_after_seconds is not None:
                yield Pause(self._retries.pause_seconds(1, page.retry_after_seconds))
            elif not page.events and page.next == after:
                yield Pause(max(0.0, _MINIMUM_INTERVAL_SECONDS - (time.monotonic() - start)))
            after = page.next


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
