"""Linked Telegram chats, on the real service with a Bot API server."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Opener
from registry import Registry

from device_registry import OwnerClient, TelegramLinkNotFound, TelegramNotConfigured

_BOT_API = Path(__file__).resolve().parents[3] / "Fuzzing/Contract/bot_api.py"


@pytest.fixture
def bot_api() -> Any:
    spec = importlib.util.spec_from_file_location("bot_api", _BOT_API)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def with_bot(bot_api: Any, tmp_path: Path) -> Iterator[Registry]:
    token = tmp_path / "bot-token"
    token.write_text("1:" + "a" * 35)
    registry = Registry(tmp_path, TELEGRAM_BOT_TOKEN_FILE=str(token), TELEGRAM_API_URL=bot_api.start())
    yield registry
    registry.stop()


def test_a_chat_is_linked_and_cut_off(with_bot: Registry, bot_api: Any, open_owner: Opener) -> None:
    owner = open_owner(with_bot.url, with_bot.token("alice"))
    made = owner.create_telegram_code(idempotency_key="once")
    assert made.code not in repr(made)
    bot_api.link(made.code)
    [link] = owner.telegram_links()
    assert link.user_id > 0
    assert link.muted_until is None
    owner.delete_telegram_link(link.id)
    assert list(owner.telegram_links()) == []
    with pytest.raises(TelegramLinkNotFound):
        owner.delete_telegram_link(link.id)


def test_a_registry_without_a_bot_says_so(owner: OwnerClient) -> None:
    with pytest.raises(TelegramNotConfigured):
        owner.create_telegram_code()
