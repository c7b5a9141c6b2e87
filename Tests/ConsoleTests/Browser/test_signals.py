"""Sending signals, and watching what becomes of them."""

from __future__ import annotations

import re

from conftest import Console
from playwright.sync_api import Page, expect
from service import Owner, Terminal


def payload(page: Page, text: str) -> None:
    page.get_by_label("Payload").fill(text)


def test_errors_in_the_payload_are_named_by_line_and_column(console: Console, owner: Owner) -> None:
    owner.register("EA")
    page = console.open(owner.token, "/signals")
    for text, place, message in [
        ('{\n  "symbol": "EURUSD"\n  "side": "buy"\n}', "Line 3, column 3", "A comma or }"),
        ('{"a": 01}', "Line 1, column 8", "leading zeros"),
        ("{'a': 1}", "Line 1, column 2", "double quotes"),
        ('{"a": 1,}', "Line 1, column 9", "Remove the comma"),
        ('{"a": 1, "a": 2}', "Line 1, column 10", "occurs twice"),
        ('{"a": "x\n"}', "Line 1, column 7", "no closing quote"),
        ('{"a": tru}', "Line 1, column 7", "A value must be here"),
        ('{"a": 1} 2', "Line 1, column 10", "Nothing may follow"),
        ('{"😀": nul}', "Line 1, column 7", "A value must be here"),
    ]:
        payload(page, text)
        expect(page.get_by_role("button", name=place)).to_be_visible()
        expect(page.get_by_text(message)).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("^Send"))).to_be_disabled()
    payload(page, "[1]")
    expect(page.get_by_text("The payload must be an object")).to_be_visible()
    payload(page, '{"a": "' + "x" * 16_384 + '"}')
    expect(page.get_by_text("more than 16,384 bytes")).to_be_visible()
    payload(page, '{"a": 1}')
    expect(page.get_by_role("button", name="Send to 1 device")).to_be_enabled()


def test_a_signal_is_sent_as_it_was_typed_and_its_deliveries_arrive_live(console: Console, owner: Owner) -> None:
    devices = [owner.register(f"EA-{number}") for number in range(3)]
    page = console.open(owner.token, "/signals")
    expect(page.get_by_role("heading", name="No signals yet")).to_be_visible()
    payload(page, '{"volume": 0.10, "ticket": 12345678901234567890}')
    page.get_by_label("Expires after").fill("2")
    page.get_by_label("Unit").select_option("hours")
    page.get_by_role("button", name="Send to 3 devices").click()
    expect(page.get_by_role("heading", name=re.compile("^Signal of"))).to_be_visible()
    expect(page.locator(".delivery-state")).to_have_text(["waiting"] * 3)
    signal = owner.call("GET", "/signals")[0]
    assert page.url.endswith(signal["id"])
    row = page.locator(".delivery").nth(1)
    box = row.bounding_box()
    first = Terminal(owner.registry.url, devices[0]).poll()
    assert first["signals"][0]["payload"]["ticket"] == 12345678901234567890
    expect(page.locator(".delivery-state")).to_have_text(["placed", "waiting", "waiting"])
    expect(page.get_by_text("ticket 8812")).to_be_visible()
    Terminal(owner.registry.url, devices[1], answer="failed").poll()
    expect(page.locator(".outcome-text")).to_have_text(re.compile("1 placed.*1 failed.*1 waiting"))
    assert row.bounding_box() == box
    page.get_by_role("button", name="Cancel signal…").click()
    page.get_by_role("button", name="Cancel the signal").click()
    expect(page.get_by_text("Cancelled for 1 device; 2 had acknowledged it.")).to_be_visible()
    expect(page.locator(".delivery-state")).to_have_text(["placed", "failed", "cancelled"])
    page.get_by_role("link", name="Signals", exact=True).first.click()
    expect(page.locator(".signals li")).to_contain_text("cancelled")


def test_a_signal_goes_to_a_group_to_labels_or_to_chosen_devices(console: Console, owner: Owner) -> None:
    owner.call("PUT", "/groups/desk", {})
    owner.register("EA-1", groups=["desk"], labels={"role": "primary"})
    owner.register("EA-2", labels={"role": "primary"})
    owner.register("Grid 3")
    console.expected_statuses = {404}
    page = console.open(owner.token, "/signals")

    def send(to: str) -> None:
        page.get_by_role("button", name=to).click()
        expect(page.get_by_role("heading", name=re.compile("^Signal of"))).to_be_visible()
        page.go_back()

    page.get_by_label("A group").check()
    page.get_by_label("Group", exact=True).fill("nowhere")
    expect(page.get_by_text("There is no such group")).to_be_visible()
    page.get_by_label("Group", exact=True).fill("desk")
    send("Send to 1 device")
    page.get_by_label("Devices with labels").check()
    page.get_by_label("Labels", exact=True).fill("role: primary")
    send("Send to 2 devices")
    page.get_by_role("radio", name="Chosen devices").check()
    page.get_by_label("Find devices").fill("grid")
    page.get_by_role("button", name="Grid 3").click()
    page.get_by_label("Find devices").fill("ea-2")
    page.get_by_role("button", name="EA-2").click()
    page.get_by_role("button", name="Remove Grid 3").click()
    # What was typed stays while one looks at another page.
    page.get_by_role("link", name="Events").click()
    page.get_by_role("link", name="Signals").click()
    expect(page.get_by_role("button", name="Remove EA-2")).to_be_visible()
    send("Send to 1 device")
    assert [signal["devices"] for signal in owner.call("GET", "/signals")] == [1, 2, 1]
