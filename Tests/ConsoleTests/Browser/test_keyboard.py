"""The console without a pointer."""

from __future__ import annotations

from conftest import Console
from playwright.sync_api import Page, expect
from service import Owner

MAXIMUM_STOPS = 60


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the element with this name has the focus, which must be visible."""
    for _ in range(MAXIMUM_STOPS):
        page.keyboard.press("Tab")
        focused = page.evaluate("""() => {
          const element = document.activeElement;
          const style = getComputedStyle(element);
          const label = element.labels?.[0]?.textContent;
          return { name: element.getAttribute('aria-label') ?? label ?? element.textContent, isShown: style.outlineStyle !== 'none' && style.outlineWidth !== '0px' };
        }""")
        if focused["name"] == name:
            assert focused["isShown"], name
            return
    raise AssertionError(f"{name} cannot be reached")


def test_register_rename_suspend_and_halt_by_keyboard_alone(console: Console, owner: Owner) -> None:
    page = console.open(owner.token)
    tab_to(page, "Register device")
    page.keyboard.press("Enter")
    page.keyboard.type("EA-Keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="EA-Keys is registered")).to_be_visible()
    tab_to(page, "I have copied it")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="EA-Keys")).to_be_visible()

    page.keyboard.press("/")
    expect(page.get_by_label("Find devices by name")).to_be_focused()
    page.keyboard.type("keys")
    tab_to(page, "Select EA-Keys")
    page.keyboard.press("Space")
    expect(page.get_by_text("1 selected")).to_be_visible()
    tab_to(page, "EA-Keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="EA-Keys")).to_be_focused()

    tab_to(page, "Rename")
    page.keyboard.press("Enter")
    page.keyboard.type("EA-Renamed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="EA-Renamed")).to_be_visible()
    # The focus is back where the dialog was opened.
    expect(page.get_by_role("button", name="Rename")).to_be_focused()

    tab_to(page, "Suspend…")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.type("unpaid")
    page.keyboard.press("Enter")
    expect(page.get_by_text("suspended: unpaid")).to_be_visible()

    page.locator("#halt").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Halt 1 device")).to_be_enabled()
    page.keyboard.type("news")
    expect(page.get_by_role("button", name="Halt 1 device")).to_be_enabled()
    tab_to(page, "Halt 1 device")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Halt", exact=True)).to_contain_text("1 of 1 device halted")
    page.keyboard.press("Escape")
    device = owner.call("GET", "/devices")[0]
    assert (device["device_name"], device["status"], device["trading_mode"]["mode"]) == ("EA-Renamed", "suspended", "halted")


def test_arrows_move_through_the_list_and_menus(console: Console, owner: Owner) -> None:
    for number in range(40):
        owner.register(f"EA-{number:02}")
    page = console.open(owner.token)
    page.get_by_role("link", name="EA-00").focus()
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="EA-30")).to_be_focused()
    expect(page.get_by_role("link", name="EA-30")).to_be_in_viewport()
    for _ in range(30):
        page.keyboard.press("k")
    expect(page.get_by_role("link", name="EA-00")).to_be_focused()
    page.get_by_role("button", name="Status", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Not revoked")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="active", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Status", exact=True)).to_be_focused()
