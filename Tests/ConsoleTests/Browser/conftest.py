"""Real Chromium on the real service. A test fails if the page logs an error, violates its policy, or throws."""

from __future__ import annotations

import contextlib
import itertools
import re
import uuid
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from registry import Registry
from service import Owner, postgres

CHROMIUM = "/usr/bin/chromium"
TIMEOUT_MILLISECONDS = 15_000
expect.set_options(timeout=TIMEOUT_MILLISECONDS)

DATABASES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on both databases, those of each in their own process."""
    if "database" in metafunc.fixturenames:
        both = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in DATABASES]
        metafunc.parametrize("database", both, scope="session", indirect=True)


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings that name a database."""
    if request.param == "sqlite":
        yield {}
        return
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield {"DATABASE_URL": url}


@pytest.fixture(scope="session")
def registry(database: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A service that all tests of a database share; each test has its own client."""
    registry = Registry(tmp_path_factory.mktemp("registry"), **database)
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # In a container there is no other sandbox for root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def owner(registry: Registry) -> Owner:
    """The owner of a new client."""
    return Owner(registry, f"owner-{uuid.uuid4().hex[:12]}")


class Console:
    """An open console."""

    def __init__(self, page: Page, registry: Registry) -> None:
        self.page = page
        self.registry = registry
        self.errors: list[str] = []
        # Statuses that the test provokes: Chromium logs each as an error.
        self.expected_statuses: set[int] = set()
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(f"{error}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        status = re.search(r"status of (\d+)", message.text)
        # 503: on a busy machine the registry refuses what takes long, and the console asks again.
        if status and int(status.group(1)) in self.expected_statuses | {503}:
            return
        if "net::ERR_" in message.text and 0 in self.expected_statuses:
            return
        self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def open(self, token: str, place: str = "/devices") -> Page:
        """Signs in with a link, and opens a page."""
        self.page.goto(f"{self.registry.url}/console/#token={token}")
        expect(self.page.get_by_text("live", exact=True)).to_be_visible()
        if place != "/devices":
            self.go(place)
        return self.page

    def submit_after_the_session_ended(self) -> None:
        """Submits the open dialog with a token that is refused, before anything else notices."""
        self.page.evaluate("""import('./session.js').then(({session}) => {
          session.token = session.token.slice(0, -8) + 'AAAAAAAA';
          document.querySelector('dialog[open] button[type=submit]').click();
        })""")

    def go(self, place: str) -> None:
        self.page.evaluate("place => { location.hash = place }", place)


Opener = Callable[..., Console]


@pytest.fixture
def open_console(browser: Browser, registry: Registry) -> Iterator[Opener]:
    """Opens a separate browser profile: nothing is shared with another."""
    with contextlib.ExitStack() as stack:
        opened: list[Console] = []

        def open_one(registry: Registry = registry, *, scheme: str = "light", width: int = 1280, height: int = 800) -> Console:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB", timezone_id="Europe/Berlin")
            stack.callback(context.close)
            opened.append(Console(context.new_page(), registry))
            return opened[-1]

        yield open_one
        for console in opened:
            assert console.errors == []


@pytest.fixture
def console(open_console: Opener) -> Console:
    return open_console()


@pytest.fixture
def page(console: Console, owner: Owner) -> Page:
    """The console, signed in."""
    return console.open(owner.token)


_axe = Axe()


def accessible(page: Page) -> None:
    """Fails if axe-core finds something serious."""
    result = _axe.run(page, options={"resultTypes": ["violations"]})
    found = [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for violation in result.response["violations"]
        if violation["impact"] in ("serious", "critical", "moderate")
        for node in itertools.islice(violation["nodes"], 3)
    ]
    assert found == []


def is_within_width(page: Page) -> None:
    """Fails if the page scrolls sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


