"""Signing in with OpenID Connect, at a real provider on this machine."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import Console, Opener
from playwright.sync_api import Page, expect
from provider import CLIENT_ID, Provider
from registry import Registry

# Also over plain HTTP, on this machine.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Provider, Registry]]:
    with Provider().running() as provider:
        folder = tmp_path_factory.mktemp("openid")
        registry = Registry(
            folder, JWT_SECRET="", JWT_JWKS_FILE=str(provider.key_set(folder)), JWT_ISSUER=provider.url, JWT_AUDIENCE=CLIENT_ID,
            CONSOLE_OIDC_ISSUER=provider.url, CONSOLE_OIDC_CLIENT_ID=CLIENT_ID,
        )
        provider.redirect_uris.append(f"{registry.url}/console/")
        registry._run("client", "add", "--id", "owner")
        yield provider, registry
        registry.stop()


@pytest.fixture
def opened(database: dict[str, str], served: tuple[Provider, Registry], open_console: Opener) -> tuple[Provider, Console]:
    if database:
        pytest.skip("the same on every database")
    provider, registry = served
    provider.stated_issuer = provider.token_issuer = provider.nonce = provider.state = None
    provider.exchanged.clear()
    return provider, open_console(registry)


def start(console: Console) -> Page:
    console.page.goto(f"{console.registry.url}/console/")
    console.page.get_by_role("button", name=re.compile("Sign in at 127.0.0.1")).click()
    return console.page


def test_a_person_signs_in_at_the_provider_with_pkce(opened: tuple[Provider, Console]) -> None:
    provider, console = opened
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url) if "/authorize?" in request.url else None)
    page = start(console)
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    expect(page.get_by_role("button", name="Signed in as owner")).to_be_visible()
    assert "code=" not in page.url
    [query] = [parse_qs(urlsplit(url).query) for url in asked]
    [exchange] = provider.exchanged
    assert query["code_challenge_method"] == ["S256"]
    digest = hashlib.sha256(exchange["code_verifier"].encode()).digest()
    assert query["code_challenge"] == [base64.urlsafe_b64encode(digest).rstrip(b"=").decode()]
    assert len(query["state"][0]) >= 43
    assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": "another"}, "was not started here"),
        ({"nonce": "another"}, "answers another sign-in"),
        ({"token_issuer": "http://127.0.0.1:9"}, "of another issuer"),
        ({"stated_issuer": "http://127.0.0.1:9"}, "another issuer than the registry expects"),
    ],
)
def test_an_answer_that_was_tampered_with_signs_nobody_in(opened: tuple[Provider, Console], change: dict[str, str], message: str) -> None:
    provider, console = opened
    for name, value in change.items():
        setattr(provider, name, value)
    page = start(console)
    expect(page.get_by_text(message)).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_answer_that_nobody_asked_for_signs_nobody_in(opened: tuple[Provider, Console]) -> None:
    provider, console = opened
    console.page.goto(f"{console.registry.url}/console/?code=stolen&state=guessed")
    expect(console.page.get_by_text("was not started here")).to_be_visible()
    assert provider.exchanged == []


def test_a_session_that_ends_is_renewed_in_a_window_beside_the_page(opened: tuple[Provider, Console]) -> None:
    _, console = opened
    console.expected_statuses = {401}
    page = start(console)
    page.get_by_role("button", name="Register device").first.click()
    page.get_by_label("Name", exact=True).fill("EA-Kept")
    console.submit_after_the_session_ended()
    dialog = page.get_by_role("dialog", name="Sign in again")
    dialog.get_by_role("button", name=re.compile("in a new window")).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("dialog", name="EA-Kept is registered")).to_be_visible()
