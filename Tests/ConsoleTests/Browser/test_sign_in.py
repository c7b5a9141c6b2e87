"""Signing in, and sessions that end."""

from __future__ import annotations

from conftest import Console, Opener, accessible
from playwright.sync_api import Page, expect
from service import Owner


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_a_link_signs_in_and_its_token_leaves_the_address_at_once(console: Console, owner: Owner) -> None:
    page = console.open(owner.token)
    assert owner.token not in page.url
    assert page.evaluate("history.length") == 2
    expect(page.get_by_role("button", name=f"Signed in as {owner.name}")).to_be_visible()
    page.reload()
    # The token was in memory only.
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_token_can_be_typed_and_kept_in_the_tab(console: Console, owner: Owner) -> None:
    page = console.page
    page.goto(f"{console.registry.url}/console")
    expect(page).to_have_url(f"{console.registry.url}/console/")
    sign_in(page, "something else")
    expect(page.get_by_text("This is not a token")).to_be_visible()
    accessible(page)
    page.get_by_label("Keep it while").check()
    sign_in(page, owner.token)
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    page.get_by_role("button", name="Signed in as").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_a_session_that_ends_asks_again_and_loses_nothing(console: Console, owner: Owner) -> None:
    console.expected_statuses = {401}
    page = console.open(owner.ending_token(4))
    page.get_by_role("button", name="Register device").first.click()
    page.get_by_label("Name", exact=True).fill("EA-After")
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("expired")
    # It cannot be left without signing in or out.
    page.keyboard.press("Escape")
    accessible(page)
    dialog.get_by_label("Token").fill(owner.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Name", exact=True)).to_have_value("EA-After")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("EA-After is registered")
    assert [device["device_name"] for device in owner.call("GET", "/devices")] == ["EA-After"]


def test_what_was_asked_when_the_session_ended_is_done_after_signing_in(console: Console, owner: Owner) -> None:
    console.expected_statuses = {401}
    device = owner.register("EA-Main")
    page = console.open(owner.token, f"/devices/{device['id']}")
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("EA-Renamed")
    console.submit_after_the_session_ended()
    dialog = page.get_by_role("dialog", name="Sign in again")
    dialog.get_by_label("Token").fill(owner.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="EA-Renamed")).to_be_visible()
    assert owner.device(device["id"])["device_name"] == "EA-Renamed"


def test_the_token_of_another_client_opens_that_clients_console(open_console: Opener, owner: Owner) -> None:
    other = Owner(owner.registry, f"{owner.name}-2")
    owner.register("Mine")
    other.register("Theirs")
    console = open_console()
    console.expected_statuses = {401}
    page = console.open(owner.token)
    expect(page.get_by_role("link", name="Mine")).to_be_visible()
    page.evaluate("import('./session.js').then(({session}) => { session.token = session.token.slice(0, -4) + 'AAAA' })")
    page.evaluate("import('./api.js').then(({api}) => { api('GET', '/groups').catch(() => {}) })")
    dialog = page.get_by_role("dialog", name="Sign in again")
    dialog.get_by_label("Token").fill(other.token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Theirs")).to_be_visible()
    expect(page.get_by_text("Mine")).to_have_count(0)
