"""The page of one device."""

from __future__ import annotations

import io
import re

import zxingcpp
from conftest import Console, accessible
from PIL import Image
from playwright.sync_api import expect
from service import Owner, Terminal, call


def test_a_device_is_changed_in_every_way_and_its_timeline_grows(console: Console, owner: Owner) -> None:
    owner.call("PUT", "/groups/desk", {})
    device = owner.register("EA-Main", labels={"role": "primary"})
    page = console.open(owner.token, f"/devices/{device['id']}")
    timeline = page.locator(".events")
    expect(timeline.get_by_text("registered", exact=True)).to_be_visible()

    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("EA-London")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="EA-London")).to_be_visible()
    expect(page).to_have_title("EA-London · Device registry")
    page.mouse.move(0, 0)
    expect(timeline).to_contain_text("EA-Main → EA-London")

    page.get_by_role("button", name="Labels…").click()
    page.get_by_role("textbox", name="Labels").fill("site: london")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".facts .tags")).to_have_text("site: london")
    page.get_by_role("button", name="Groups…").click()
    page.get_by_label("desk").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".facts .tags")).to_contain_text("desk")
    page.get_by_role("button", name="Change…").click()
    page.get_by_label("Refused from").fill("2031-05-01T08:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("1 May 2031, 08:00:00")).to_be_visible()

    page.get_by_role("button", name="Set…").click()
    page.get_by_label("Halted: do nothing").check()
    page.get_by_role("dialog").get_by_label("Reason").fill("NFP")
    page.get_by_role("button", name="Set mode").click()
    expect(page.locator(".facts .mode")).to_have_text("halted …")
    terminal = Terminal(owner.registry.url, device)
    terminal.poll()
    terminal.poll()
    expect(page.locator(".facts .mode")).to_have_text("halted ✓")

    page.get_by_role("button", name="Suspend…").click()
    page.get_by_label("Reason").fill("unpaid")
    page.get_by_role("button", name="Suspend", exact=True).click()
    expect(page.locator(".title-line .state")).to_have_text("suspended: unpaid")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".title-line .state")).to_have_text(re.compile("online|offline|never seen"))

    page.get_by_role("button", name="Revoke…").click()
    expect(page.get_by_role("dialog")).to_contain_text("cannot be undone")
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.locator(".title-line .state")).to_have_text("revoked")
    # New events wait while the pointer is where the dialog's button was, if that is on the list.
    page.mouse.move(0, 0)
    expect(timeline.get_by_text("revoked", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete…").click()
    # The page may have asked for the device just before.
    console.expected_statuses = {404}
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page).to_have_url(re.compile("#/devices$"))
    assert owner.call("GET", "/devices") == []
    console.go(f"/devices/{device['id']}")
    expect(page.get_by_role("heading", name="There is no such device")).to_be_visible()


def test_a_rotated_secret_is_shown_once_and_works(console: Console, owner: Owner) -> None:
    device = owner.register("EA-Main")
    page = console.open(owner.token, f"/devices/{device['id']}")
    page.get_by_role("button", name="Rotate secret…").click()
    page.get_by_label("The present secret").select_option(label="works for 5 minutes more")
    page.get_by_role("button", name="Rotate", exact=True).click()
    dialog = page.get_by_role("dialog", name="EA-Main has a new secret")
    secret = dialog.get_by_label("The device's secret").inner_text()
    accessible(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert secret not in page.content()
    assert secret != device["secret"]
    Terminal(owner.registry.url, {**device, "secret": secret}).poll()
    expect(page.locator(".events").get_by_text("new secret in use")).to_be_visible()


def test_an_enrolment_code_can_be_scanned_and_gives_the_device_a_new_secret(console: Console, owner: Owner) -> None:
    device = owner.register("EA-Main")
    page = console.open(owner.token, f"/devices/{device['id']}")
    page.get_by_role("button", name="Enrolment code").click()
    page.get_by_role("button", name="Make a code").click()
    shown = page.get_by_label("Enrolment code", exact=True).inner_text()
    picture = Image.open(io.BytesIO(page.get_by_role("img", name="QR code").screenshot()))
    [found] = zxingcpp.read_barcodes(picture)
    assert found.text == shown
    page.get_by_role("button", name="Done").click()
    enrolled = call(owner.registry.url, None, "POST", "/device/enrol", {"code": found.text})
    assert enrolled["id"] == device["id"]
    expect(page.locator(".events").get_by_text("enrolled with a code")).to_be_visible()


def test_qr_codes_of_every_length_can_be_read(console: Console, owner: Owner) -> None:
    page = console.open(owner.token)
    for length in (1, 14, 15, 42, 62, 63, 106, 107, 152, 180, 200, 213):
        text = ("EA-" + "0123456789abcdefghijklmnopqrstuvwxyz/:?" * 6)[:length]
        page.evaluate(
            """async text => {
              const { qrCode } = await import('./qr.js');
              const picture = qrCode(text);
              picture.style.setProperty('position', 'fixed');
              picture.style.setProperty('inset', '0');
              picture.style.setProperty('z-index', '99');
              picture.style.setProperty('width', '500px');
              picture.style.setProperty('height', '500px');
              document.querySelector('svg.qr')?.remove();
              document.body.append(picture);
            }""",
            text,
        )
        [found] = zxingcpp.read_barcodes(Image.open(io.BytesIO(page.locator("svg.qr").screenshot())))
        assert found.text == text


def test_figures_show_polls_and_deliveries_and_are_read_by_keyboard(console: Console, owner: Owner) -> None:
    device = owner.register("EA-Main")
    owner.call("POST", "/signals", {"payload": {}, "all": True})
    Terminal(owner.registry.url, device).poll()
    page = console.open(owner.token, f"/devices/{device['id']}")
    if "stats" not in page.evaluate("fetch('config.json').then(answer => answer.json())")["features"]:
        expect(page.get_by_text("does not count polls and deliveries yet")).to_be_visible()
        return
    # Counts are written once a second.
    polls = page.get_by_role("img", name="Polls")
    expect(polls.or_(page.get_by_text("Nothing in this span yet"))).to_be_visible()
    for _ in range(100):
        if polls.count():
            break
        page.get_by_role("button", name="24 h").click()
        expect(polls.or_(page.get_by_text("Nothing in this span yet"))).to_be_visible()
    page.get_by_role("img", name="Deliveries by outcome").focus()
    page.keyboard.press("End")
    expect(page.locator(".readout", has_text="placed")).to_contain_text("placed 1")
    accessible(page)


def test_a_device_is_bound_to_the_account_that_it_runs_on(console: Console, owner: Owner) -> None:
    device = owner.register("EA-Main")
    terminal = Terminal(owner.registry.url, device)
    account = {"login": "5012345", "server": "Broker-Demo <1>"}
    call(owner.registry.url, terminal.token, "PUT", "/device/context", {"account": {**account, "mode": "demo"}})
    page = console.open(owner.token, f"/devices/{device['id']}")
    expect(page.locator(".further")).to_contain_text("any account")
    expect(page.locator(".events")).to_contain_text("account=5012345 · Broker-Demo <1> · demo")
    page.get_by_role("button", name="Bind…").click()
    accessible(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".further")).to_contain_text("Bound to5012345 · Broker-Demo <1>")
    assert owner.device(device["id"])["bound_account"] == account
    page.get_by_role("button", name="Bind…").click()
    page.get_by_label("Any account").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".further")).to_contain_text("any account")
    assert owner.device(device["id"])["bound_account"] is None


def test_times_are_local_and_show_utc(console: Console, owner: Owner) -> None:
    device = owner.register("EA-Main")
    page = console.open(owner.token, f"/devices/{device['id']}")
    registered = page.locator("dt", has_text="Registered").locator("+ dd time")
    hour = (int(device["created_at"][11:13]) + 1) % 24
    expect(registered).to_contain_text(f"{hour:02}:{device['created_at'][14:19]}")
    assert device["created_at"][11:23] in registered.get_attribute("title")
    registered.focus()
    assert "UTC" in registered.evaluate("element => getComputedStyle(element, '::after').content")
