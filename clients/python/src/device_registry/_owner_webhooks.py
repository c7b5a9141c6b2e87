"""Webhooks, which post events."""

from __future__ import annotations

from collections.abc import Sequence

from ._credentials import path_id
from ._messages import query
from ._models import CreatedWebhook, Webhook, WebhookDelivery
from ._owner_calls import SHORT_PAGE, UNCHANGED, OwnerCalls, changes, given, path
from ._runners import operation, stream
from ._steps import Steps, StreamSteps

_TEST_TIMEOUT_SECONDS = 20.0
"""The registry waits 10 s for the receiver."""


class WebhookRoutes(OwnerCalls):
    """Webhooks and their deliveries."""

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
        body = given(url=url, types=None if types is None else list(types), description=description)
        return self._create(CreatedWebhook, path("webhooks"), body, idempotency_key)

    @stream
    def webhooks(self) -> StreamSteps[Webhook]:
        """The owner's webhooks, oldest first."""
        return self._pages(Webhook, path("webhooks"))

    @operation
    def webhook(self, webhook_id: str) -> Steps[Webhook]:
        """One webhook. Raises `WebhookNotFound`, or `NotOwner` if it is another owner's."""
        return self._call(Webhook, "GET", path("webhooks", path_id(webhook_id)))

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
        body = changes(url=url, types=listed, description=description, enabled=enabled)
        return self._call(Webhook, "PATCH", path("webhooks", path_id(webhook_id)), body)

    @operation
    def delete_webhook(self, webhook_id: str) -> Steps[None]:
        """Deletes a webhook and the log of its deliveries. Raises as `webhook`."""
        return self._tell("DELETE", path("webhooks", path_id(webhook_id)))

    @operation
    def test_webhook(self, webhook_id: str) -> Steps[WebhookDelivery]:
        """Posts a test event, and returns what the receiver answered. Raises as `webhook`."""
        target = path("webhooks", path_id(webhook_id), "test")
        return self._call(WebhookDelivery, "POST", target, timeout_seconds=_TEST_TIMEOUT_SECONDS)

    @stream
    def webhook_deliveries(self, webhook_id: str) -> StreamSteps[WebhookDelivery]:
        """The last attempts to deliver events, newest first. Raises as `webhook`."""
        target = query(path("webhooks", path_id(webhook_id), "deliveries"), limit=SHORT_PAGE)
        return self._pages(WebhookDelivery, target)

    @operation
    def redeliver(self, webhook_id: str, *, after: str) -> Steps[Webhook]:
        """Delivers again all events after a position of the feed, the `next` of an `EventPage`. Raises as `webhook`, and
        `CursorExpired`."""
        return self._call(Webhook, "POST", path("webhooks", path_id(webhook_id), "redeliver"), {"after": after})
