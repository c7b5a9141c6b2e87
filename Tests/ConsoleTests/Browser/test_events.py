"""The feed of events."""

from __future__ import annotations

import re

from conftest import Console
from playwright.sync_api import expect
from service import Owner


def test_events_appear_as_they_happen_and_can_be_filtered(console: Console, owner: Owner) -> None:
    device = owner.register("EA-Main")
    page = console.open(owner.token, "/events")
    events = page.locator(".event")
    expect(events).to_have_text([re.compile("registered EA-Main"), re.compile("client added")])
    owner.call("POST", f"/devices/{device['id']}/suspend", {"reason": "<b>unpaid</b>"})
    expect(events.first).to_contain_text("suspended EA-Main “<b>unpaid</b>”")
    expect(events.first).to_contain_text(owner.name)
    owner.call("PUT", "/groups/desk", {})
    page.get_by_role("button", name="Groups").click()
    expect(events).to_have_text([re.compile("group created")])
    assert page.url.endswith("#/events?types=group.*") or page.url.endswith("#/events?types=group.%2A")
    owner.call("POST", f"/devices/{device['id']}/resume", {})
    owner.call("DELETE", "/groups/desk")
    expect(events).to_have_text([re.compile("group deleted"), re.compile("group created")])
    page.go_back()
    expect(events).to_have_count(6)
    page.get_by_role("link", name="EA-Main").first.click()
    expect(page.get_by_role("heading", name="EA-Main")).to_be_visible()


def test_events_wait_while_someone_points_at_the_list(console: Console, owner: Owner) -> None:
    owner.register("EA-1")
    page = console.open(owner.token, "/events")
    first = page.locator(".event").first
    first.hover()
    box = first.bounding_box()
    owner.register("EA-2")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    owner.register("EA-3")
    expect(page.get_by_role("button", name="2 new")).to_be_visible()
    assert page.locator(".event").first.bounding_box() == box
    page.get_by_role("button", name="2 new").click()
    expect(page.locator(".event")).to_have_count(4)
    expect(page.locator(".event").first).to_contain_text("EA-3")
