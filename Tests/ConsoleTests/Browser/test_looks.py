"""Every page in light and dark, on a screen and on a phone: axe-core, and no scrolling sideways."""

from __future__ import annotations

import re

import pytest
from conftest import Opener, accessible, is_within_width
from playwright.sync_api import Page, expect
from registry import Registry
from service import Owner, Terminal, receiver


@pytest.fixture(scope="session")
def furnished(registry: Registry) -> tuple[Owner, dict[str, str]]:
    """A client with something on each page."""
    owner = Owner(registry, "furnished")
    owner.call("PUT", "/groups/london", {"description": "London desk"})
    devices = [
        owner.register(name, labels={"role": "primary", "vps": "ny4", "customer": "lumen"}, groups=["london"])
        for name in ("EA-Gold", "Советник №1", "A device with a rather long name that does not fit into a column of a phone", "黄金策略", "News filter", "Old")
    ]
    owner.call("POST", f"/devices/{devices[1]['id']}/suspend", {"reason": "invoice 1042 unpaid"})
    owner.call("POST", "/devices/bulk", {"action": "set_trading_mode", "trading_mode": "halted", "select": {"device_ids": [devices[2]["id"]]}})
    owner.call("POST", f"/devices/{devices[5]['id']}/revoke", {"reason": "sold"})
    signal = owner.call("POST", "/signals", {"payload": {"symbol": "EURUSD"}, "all": True})
    for number, answer in [(0, "placed"), (3, "failed")]:
        Terminal(registry.url, devices[number], answer=answer).poll()
    with receiver() as (url, _):
        owner.call("POST", "/webhooks", {"url": url, "types": ["device.*"], "description": "pager"})
    owner.call("POST", "/enrolments", {"count": 2})
    places = {
        "Devices": "/devices?status=all", "EA-Gold": f"/devices/{devices[0]['id']}", "Signals": "/signals", "Signal of": f"/signals/{signal['id']}",
        "Events": "/events", "Settings": "/settings",
    }
    return owner, places


def settled(page: Page) -> None:
    expect(page.locator(".loading")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_page_is_accessible_and_fits(open_console: Opener, furnished: tuple[Owner, dict[str, str]], scheme: str, width: int) -> None:
    owner, places = furnished
    console = open_console(scheme=scheme, width=width, height=740)
    page = console.open(owner.token)
    for heading, place in places.items():
        console.go(place)
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
        settled(page)
        is_within_width(page)
        accessible(page)
    console.go("/devices")
    page.get_by_label("Select EA-Gold").check()
    is_within_width(page)
    accessible(page)
    for opener in ("Register device", "Enrolment codes"):
        page.get_by_role("button", name=opener, exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        is_within_width(page)
        accessible(page)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Group", exact=True).first.click()
    expect(page.get_by_role("button", name=re.compile("london ·"))).to_be_visible()
    accessible(page)
