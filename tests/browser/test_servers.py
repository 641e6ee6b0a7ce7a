"""The page of a target with several servers: while requests are held, and behind a switch."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from forebay.embedded.pair import Pair
from tests.browser.conftest import Watched
from tests.harness import Forebay, TestDatabase

USER = "app_user"


def test_it_shows_the_servers_and_that_requests_are_held(
    start_forebay: Callable[..., Forebay], open_page: Callable[..., Watched]
) -> None:
    with Pair() as pair:
        pair.writer.create_user(USER, "planted-password")
        pair.writer.create_database(USER, owner=USER)
        forebay = start_forebay(
            pair.writer.port,
            TestDatabase(USER, USER, "planted-password"),
            target={"hosts": pair.hosts},
        )
        watched = open_page(f"{forebay.page}/")
        page = watched.page
        rows = page.locator("#servers tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_contain_text("writes")
        expect(rows.nth(1)).to_contain_text("standby")
        expect(page.locator("#servers-state")).to_have_text(re.compile("^UP for .*, epoch 1$"))
        expect(page.locator("#picture")).to_contain_text(pair.hosts[0])
        pair.writer.stop()
        expect(page.locator("#sentence")).to_have_text(
            re.compile("^HOLD for .*: No server is known")
        )
        expect(page.locator("#said")).to_have_class("waits")
        expect(page.locator("#picture title")).to_contain_text("The database: HOLD")
        expect(rows.nth(0)).to_contain_text("CONNECTION_FAILED")
        pair.promote()
        expect(page.locator("#servers-state")).to_have_text(re.compile("^UP for .*, epoch 2$"))
        expect(page.locator("#picture")).to_contain_text(pair.hosts[1])
        expect(page.locator("#said")).to_have_class("")
        told = page.locator("#events")
        expect(told).to_contain_text("HOLD: ")
        expect(told).to_contain_text(f"{pair.hosts[1]} writes")
        assert watched.complaints == []


def test_there_is_nothing_to_show_of_a_single_server(
    forebay: Forebay, open_page: Callable[..., Watched]
) -> None:
    page = open_page(f"{forebay.page}/").page
    expect(page.locator("#picture .big").first).to_have_text("0")
    expect(page.locator("#servers-panel")).to_be_hidden()
