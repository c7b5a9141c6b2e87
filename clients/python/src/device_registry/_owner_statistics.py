"""What devices did, for their owner."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ._credentials import path_id
from ._messages import query
from ._models import Statistics
from ._owner_calls import OwnerCalls, path, time_text
from ._runners import stream
from ._steps import StreamSteps


class StatisticsRoutes(OwnerCalls):
    """Statistics, by hour or day of UTC, oldest first, without those in which nothing happened."""

    @stream
    def device_statistics(
        self,
        device_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step: Literal["hour", "day"] = "hour",
    ) -> StreamSteps[Statistics]:
        """What a device did from `start` (default: a day before `end`, or 30 days by day) to `end` (default: now). Raises
        `DeviceNotFound`, `NotOwner` and, for more than 10,000 elements, `InvalidValue`."""
        return self._pages(Statistics, _target(path("devices", path_id(device_id), "stats"), start, end, step))

    @stream
    def statistics(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step: Literal["hour", "day"] = "hour",
        by: Literal["device", "group"] | None = None,
    ) -> StreamSteps[Statistics]:
        """What all devices did together, or each device or group. A device counts in each of its groups. Raises
        `InvalidValue` for too many elements, or more than 250,000 hours of devices."""
        return self._pages(Statistics, _target(path("stats"), start, end, step, by))


def _target(path: str, start: datetime | None, end: datetime | None, step: str, by: str | None = None) -> str:
    times = {"from": time_text(start), "to": time_text(end)}
    return query(path, step=step, by=by, **times)
