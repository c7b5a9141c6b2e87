"""The Halt button."""

from __future__ import annotations

from conftest import Console, accessible
from playwright.sync_api import expect
from service import Owner, Terminal


def test_all_devices_are_halted_confirm_and_trade_again(console: Console, owner: Owner) -> None:
    devices = [owner.register(f"EA-{number}") for number in range(3)]
    page = console.open(owner.token)
    with Terminal(owner.registry.url, devices[0]).running(), Terminal(owner.registry.url, devices[1]).running():
        page.get_by_role("button", name="Halt…").click()
        dialog = page.get_by_role("dialog", name="Halt trading")
        expect(dialog).to_contain_text("3 devices will be halted.")
        accessible(page)
        # Someone registers another device between the look and the confirmation.
        fourth = owner.register("EA-4th")
        console.expected_statuses = {409}
        dialog.get_by_label("Reason").evaluate("input => { input.value = 'news' }")
        dialog.get_by_role("button", name="Halt 3 devices").click()
        expect(dialog).to_contain_text("The devices have changed in the meantime. 4 devices will be halted.")
        assert owner.device(devices[0]["id"])["trading_mode"]["mode"] == "normal"
        dialog.get_by_role("button", name="Halt 4 devices").click()
        status = page.get_by_role("dialog", name="Halt", exact=True)
        expect(status).to_contain_text("4 of 4 devices halted, 2 confirmed.")
        expect(status.get_by_role("link")).to_have_text(["EA-2", "EA-4th"])
        Terminal(owner.registry.url, fourth).poll()
        accessible(page)
        late = Terminal(owner.registry.url, devices[2])
        late.poll()
        late.poll()
        expect(status).to_contain_text("3 confirmed.")
        status.get_by_role("button", name="Close").click()
        halt = page.get_by_role("button", name="Halted, 1 to confirm")
        expect(halt).to_be_visible()
        assert owner.device(devices[0]["id"])["trading_mode"]["reason"] == "news"
        halt.click()
        page.get_by_role("button", name="Lift the halt…").click()
        page.get_by_role("button", name="Let 4 devices trade").click()
        expect(page.get_by_role("button", name="Halt…")).to_be_visible()
        expect(page.locator(".virtual .mode").first).to_have_text("normal ✓")


def test_a_group_is_halted_alone(console: Console, owner: Owner) -> None:
    owner.call("PUT", "/groups/desk", {})
    inside = owner.register("EA-In", groups=["desk"])
    outside = owner.register("EA-Out")
    page = console.open(owner.token)
    page.get_by_role("button", name="Halt…").click()
    page.get_by_label("Which devices").select_option("desk")
    page.get_by_role("button", name="Halt 1 device").click()
    expect(page.get_by_role("dialog", name="Halt", exact=True)).to_contain_text("1 of 2 devices halted, 0 confirmed.")
    assert owner.device(inside["id"])["trading_mode"]["mode"] == "halted"
    assert owner.device(outside["id"])["trading_mode"]["mode"] == "normal"
