"""Changes of many devices at once, for their owner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ._models import BulkResult
from ._owner_calls import OwnerCalls, Select, given, path, time_text
from ._runners import operation
from ._steps import Steps


class BulkRoutes(OwnerCalls):
    """Each call is one transaction, over any number of the owner's devices. With `expect`, nothing happens if another number of
    devices matches, and `ExpectationFailed` is raised. With `dry_run`, the result says what would happen."""

    def _bulk(
        self, action: str, select: Select | None, reason: str | None, expect: int | None, dry_run: bool, **members: object
    ) -> Steps[BulkResult]:
        selected = given(select=None if select is None else select.members(), reason=reason, expect=expect)
        body = {"action": action, **selected, **members, "dry_run": dry_run}
        return self._call(BulkResult, "POST", path("devices", "bulk"), body)

    @operation
    def revoke_many(
        self, select: Select, *, reason: str | None = None, expect: int | None = None, dry_run: bool = False
    ) -> Steps[BulkResult]:
        """Revokes devices, which is final."""
        return self._bulk("revoke", select, reason, expect, dry_run)

    @operation
    def suspend_many(
        self,
        select: Select,
        *,
        until: datetime | None = None,
        reason: str | None = None,
        expect: int | None = None,
        dry_run: bool = False,
    ) -> Steps[BulkResult]:
        """Suspends devices, until a time or until they are resumed."""
        return self._bulk("suspend", select, reason, expect, dry_run, **given(until=time_text(until)))

    @operation
    def resume_many(
        self, select: Select, *, reason: str | None = None, expect: int | None = None, dry_run: bool = False
    ) -> Steps[BulkResult]:
        """Ends suspensions."""
        return self._bulk("resume", select, reason, expect, dry_run)

    @operation
    def rename_many(
        self, names: Mapping[str, str], *, reason: str | None = None, expect: int | None = None, dry_run: bool = False
    ) -> Steps[BulkResult]:
        """Renames devices, by id. They may exchange their names."""
        return self._bulk("rename", None, reason, expect, dry_run, names=dict(names))

    @operation
    def label_many(
        self,
        select: Select,
        labels: Mapping[str, str | None],
        *,
        reason: str | None = None,
        expect: int | None = None,
        dry_run: bool = False,
    ) -> Steps[BulkResult]:
        """Merges labels; None as a value removes a label."""
        return self._bulk("set_labels", select, reason, expect, dry_run, labels=dict(labels))

    @operation
    def add_many_to_group(
        self, group: str, select: Select, *, reason: str | None = None, expect: int | None = None, dry_run: bool = False
    ) -> Steps[BulkResult]:
        """Puts devices into a group. Raises `GroupNotFound`."""
        return self._bulk("add_to_group", select, reason, expect, dry_run, group=group)

    @operation
    def remove_many_from_group(
        self, group: str, select: Select, *, reason: str | None = None, expect: int | None = None, dry_run: bool = False
    ) -> Steps[BulkResult]:
        """Takes devices out of a group. Raises `GroupNotFound`."""
        return self._bulk("remove_from_group", select, reason, expect, dry_run, group=group)

    @operation
    def set_expiry(
        self,
        select: Select,
        expires_at: datetime | None,
        *,
        reason: str | None = None,
        expect: int | None = None,
        dry_run: bool = False,
    ) -> Steps[BulkResult]:
        """Sets when devices expire; None for never."""
        return self._bulk("set_expiry", select, reason, expect, dry_run, expires_at=time_text(expires_at))

    @operation
    def set_trading_mode(
        self,
        select: Select,
        trading_mode: str,
        *,
        cancel_signals: bool = False,
        reason: str | None = None,
        expect: int | None = None,
        dry_run: bool = False,
    ) -> Steps[BulkResult]:
        """Says what devices may trade: `normal`; `close_only`, open no positions; `halted`, place no orders.

        Polls that wait end at once. A device has confirmed the mode when its `confirmed_version` is the `version`.
        `cancel_signals` also cancels the signals that they have not acknowledged.
        """
        members = {"trading_mode": trading_mode, **({"cancel_signals": True} if cancel_signals else {})}
        return self._bulk("set_trading_mode", select, reason, expect, dry_run, **members)
