"""Chromium without a window, and pages that keep account of what goes wrong in them."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("FOREBAY_TEST_CHROMIUM") or shutil.which("chromium")
# It is to talk to nobody but the page, and to run as root, too.
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@dataclass
class Watched:
    """What a page has said and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser of this test's own: Playwright keeps an event loop running as long as it lives."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser) -> Callable[..., Watched]:
    """``open_page(url, width=…, height=…, scheme=…)``."""

    def open_one(url: str, width: int = 1240, height: int = 900, scheme: str = "light") -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        page = context.new_page()
        watched = Watched(page)
        page.on("console", lambda said: watched.complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on("dialog", lambda dialog: watched.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: watched.asked.add(request.url))
        page.goto(url)
        return watched

    return open_one
