"""Groups, enrolment codes, webhooks and linked Telegram chats."""

from __future__ import annotations

import pathlib
import re

import bot_api
import pytest
from conftest import Console, Opener
from playwright.sync_api import expect
from registry import Registry
from service import Owner, call, receiver


def test_groups_are_made_changed_and_deleted(console: Console, owner: Owner) -> None:
    page = console.open(owner.token, "/settings")
    section = page.get_by_role("region", name="Groups")
    expect(section.get_by_role("heading", name="No groups yet")).to_be_visible()
    section.get_by_role("button", name="New group").click()
    page.get_by_label("Name", exact=True).fill("not a name")
    page.get_by_role("button", name="Make the group").click()
    expect(page.get_by_text("must have 1 to 64")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("desk")
    page.get_by_label("Description").fill("<i>London</i>")
    page.get_by_role("button", name="Make the group").click()
    expect(section.get_by_role("row", name="desk")).to_contain_text("<i>London</i>")
    owner.register("EA", groups=["desk"])
    section.get_by_role("button", name="Edit desk").click()
    page.get_by_label("Description").fill("New York")
    page.get_by_role("button", name="Save").click()
    expect(section.get_by_role("row", name="desk")).to_contain_text("New York")
    section.get_by_role("button", name="Delete desk").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(section.get_by_role("heading", name="No groups yet")).to_be_visible()
    assert owner.call("GET", "/groups") == []


def test_enrolment_codes_are_made_used_and_deleted(console: Console, owner: Owner) -> None:
    page = console.open(owner.token, "/settings")
    section = page.get_by_role("region", name="Enrolment codes")
    section.get_by_role("button", name="Make codes").click()
    page.get_by_label("How many").fill("2")
    page.get_by_label("Name of the device").fill("EA-Enrolled")
    page.get_by_role("dialog").get_by_role("button", name="Make codes").click()
    codes = page.locator(".codes pre").inner_text().split()
    assert len(codes) == 2
    page.get_by_role("button", name="Done").click()
    expect(section.get_by_text(re.compile("open, expires"))).to_have_count(2)
    assert codes[0] not in page.content()
    device = call(owner.registry.url, None, "POST", "/device/enrol", {"code": codes[0]})
    expect(section.get_by_text(re.compile("^used"))).to_be_visible()
    expect(section.get_by_role("link", name="EA-Enrolled")).to_have_attribute("href", f"#/devices/{device['id']}")
    section.get_by_role("button", name=re.compile("Delete the code")).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(section.get_by_text(re.compile("open, expires"))).to_have_count(0)


def test_webhooks_are_made_tested_disabled_and_deleted(console: Console, owner: Owner) -> None:
    page = console.open(owner.token, "/settings")
    section = page.get_by_role("region", name="Webhooks")
    with receiver() as (url, received):
        section.get_by_role("button", name="New webhook").click()
        page.get_by_label("URL").fill("ftp://example.com")
        console.expected_statuses = {400}
        page.get_by_role("button", name="Make the webhook").click()
        expect(page.get_by_label("URL")).to_have_attribute("aria-invalid", "true")
        console.expected_statuses = set()
        page.get_by_label("URL").fill(url)
        page.get_by_label("device.*").check()
        page.get_by_label("Description").fill("pager")
        page.get_by_role("button", name="Make the webhook").click()
        secret = page.get_by_label("The webhook's secret").inner_text()
        assert secret.startswith("whsec_")
        page.get_by_role("button", name="I have copied it").click()
        row = section.get_by_role("row", name=url)
        expect(row).to_contain_text("pager")
        expect(row).to_contain_text("device.*")
        section.get_by_role("button", name=f"Test {url}").click()
        expect(page.get_by_text("The receiver accepted it.")).to_be_visible()
        page.get_by_role("button", name="Close").click()
        device = owner.register("EA")
        expect(row).to_contain_text("active")
        section.get_by_role("button", name=f"Deliveries of {url}").click()
        dialog = page.get_by_role("dialog", name="Deliveries")
        while dialog.get_by_text("device.registered").count() == 0:
            dialog.get_by_role("button", name="Close").click()
            section.get_by_role("button", name=f"Deliveries of {url}").click()
            expect(dialog).to_be_visible()
        assert any(event.get("data", event).get("device_id") == device["id"] for event in received)
        dialog.get_by_role("button", name="Close").click()
        section.get_by_role("button", name=f"Edit {url}").click()
        page.get_by_label("signal.*").check()
        page.get_by_role("button", name="Save").click()
        expect(row).to_contain_text("device.*, signal.*")
        section.get_by_role("button", name=f"Disable {url}").click()
        expect(row).to_contain_text("disabled")
        section.get_by_role("button", name=f"Enable {url}").click()
        expect(row).to_contain_text("active")
        section.get_by_role("button", name=f"Delete {url}").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(section.get_by_role("heading", name="No webhooks")).to_be_visible()


def test_a_receiver_that_refuses_is_shown_as_such(open_console: Opener, owner: Owner) -> None:
    with receiver(500) as (url, _):
        owner.call("POST", "/webhooks", {"url": url})
        page = open_console().open(owner.token, "/settings")
        page.get_by_role("button", name=f"Test {url}").click()
        expect(page.get_by_text("The receiver did not accept it.")).to_be_visible()
        expect(page.get_by_role("dialog")).to_contain_text("500")


def test_a_telegram_chat_is_linked_and_unlinked(open_console: Opener, database: dict[str, str], tmp_path: pathlib.Path) -> None:
    if database:
        pytest.skip("the same on every database")
    token = tmp_path / "bot-token"
    token.write_text("1:" + "a" * 35)
    registry = Registry(tmp_path, TELEGRAM_BOT_TOKEN_FILE=str(token), TELEGRAM_API_URL=bot_api.start())
    try:
        page = open_console(registry).open(Owner(registry, "owner").token, "/settings")
        section = page.get_by_role("region", name="Telegram")
        expect(section.get_by_role("heading", name="No linked chats")).to_be_visible()
        section.get_by_role("button", name="Link a chat").click()
        dialog = page.get_by_role("dialog", name="Link a Telegram chat")
        expect(dialog.get_by_role("link", name="@registry_bot")).to_have_attribute("href", "https://t.me/registry_bot")
        command = dialog.locator("code").inner_text()
        assert re.fullmatch(r"/start ([A-Z2-7]{4}-){3}[A-Z2-7]{4}", command)
        bot_api.link(command.removeprefix("/start "))
        dialog.get_by_role("button", name="Close").click()
        unlink = section.get_by_role("button", name="Unlink the chat of user 1")
        expect(unlink).to_be_visible()
        unlink.click()
        page.get_by_role("button", name="Unlink", exact=True).click()
        expect(section.get_by_role("heading", name="No linked chats")).to_be_visible()
    finally:
        registry.stop()
