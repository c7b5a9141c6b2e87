"""The service restarted while the page is open, and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import Console, Opener
from playwright.sync_api import expect
from registry import Registry
from service import Owner


@pytest.fixture
def restarted(database: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A service that the test may stop: a separate one, on SQLite."""
    if database:
        pytest.skip("the same on every database")
    registry = Registry(tmp_path_factory.mktemp("restarted"))
    yield registry
    registry.stop()


def test_the_page_continues_after_a_restart_and_misses_nothing(open_console: Opener, restarted: Registry) -> None:
    owner = Owner(restarted, "restarting")
    device = owner.register("EA-Main")
    console = open_console(restarted)
    console.expected_statuses = {0, 503}
    page = console.open(owner.token)
    expect(page.get_by_role("link", name="EA-Main")).to_be_visible()
    with page.expect_response(lambda answer: "q=EA" in answer.url):
        page.get_by_label("Find devices by name").fill("EA")
    expect(page.locator(".figure[aria-current]")).to_have_count(0)
    restarted.stop()
    expect(page.get_by_text("reconnecting…")).to_be_visible()
    # What the page knows stays.
    expect(page.get_by_role("link", name="EA-Main")).to_be_visible()
    page.get_by_role("button", name="Register device").click()
    page.get_by_label("Name", exact=True).fill("EA-Late")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("The registry does not answer")
    restarted.start()
    owner.call("POST", f"/devices/{device['id']}/suspend", {"reason": "while away"})
    expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_text("suspended: while away")).to_be_visible()
    # What was typed is still there, and works now.
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("dialog", name="EA-Late is registered")).to_be_visible()


def test_a_problem_shows_the_registrys_text_and_the_request(console: Console, owner: Owner) -> None:
    owner.register("EA-Main")
    console.expected_statuses = {409, 404}
    page = console.open(owner.token)
    page.get_by_role("button", name="Register device").click()
    page.get_by_label("Name", exact=True).fill("EA-Main")
    page.get_by_role("button", name="Register", exact=True).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("name")
    expect(alert.locator("code")).to_have_text(re.compile("^[0-9a-f]{16}$"))
    page.keyboard.press("Escape")
    console.go("/signals/01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a")
    expect(page.get_by_role("heading", name="There is no such signal")).to_be_visible()
    console.go("/nowhere")
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
