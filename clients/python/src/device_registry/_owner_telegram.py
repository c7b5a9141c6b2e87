"""Telegram chats that see and halt devices, for their owner."""

from __future__ import annotations

from ._credentials import path_id
from ._models import TelegramCode, TelegramLink
from ._owner_calls import OwnerCalls, path
from ._runners import operation, stream
from ._steps import Steps, StreamSteps


class TelegramRoutes(OwnerCalls):
    """Linked Telegram chats."""

    @operation
    def create_telegram_code(self, *, idempotency_key: str | None = None) -> Steps[TelegramCode]:
        """Creates a code that links a chat, in place of the code before. Raises `TelegramNotConfigured` and
        `TooManyTelegramLinks`."""
        return self._create(TelegramCode, path("telegram", "link"), None, idempotency_key)

    @stream
    def telegram_links(self) -> StreamSteps[TelegramLink]:
        """The linked chats, oldest first."""
        return self._pages(TelegramLink, path("telegram", "links"))

    @operation
    def delete_telegram_link(self, link_id: str) -> Steps[None]:
        """Cuts a chat off. Raises `TelegramLinkNotFound` and `NotOwner`."""
        return self._tell("DELETE", path("telegram", "links", path_id(link_id)))
