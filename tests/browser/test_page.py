"""The page as people see it, under load."""

import contextlib
import json
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Page, expect

from forebay.dashboard.live import MAX_VIEWERS
from forebay.embedded.postgres import Postgres
from tests.browser.conftest import Watched
from tests.harness import Forebay, TestDatabase
from tests.harness.load import statements, under_load
from tests.harness.waiting import eventually

CLIENTS = 24
CONNECTIONS = 4
OpenPage = Callable[..., Watched]


def api(forebay: Forebay, path: str) -> Any:
    with urllib.request.urlopen(f"{forebay.page}/api/{path}", timeout=30) as answer:
        return json.load(answer)


def metric(forebay: Forebay, name: str, proxy: str = "app") -> float:
    """What a scraper reads of a proxy."""
    with urllib.request.urlopen(f"{forebay.page}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    lines = (each for each in text.splitlines() if each.startswith(f"{name}{{"))
    (found,) = (each for each in lines if f'proxy="{proxy}"' in each)
    return float(found.rpartition(" ")[2])


def is_fine(watched: Watched, forebay: Forebay) -> None:
    """It has not complained of anything, and asked nobody else."""
    assert watched.complaints == []
    assert all(url.startswith((f"{forebay.page}/", "data:")) for url in watched.asked)
    assert len(watched.asked) > 10


def big(page: Page) -> list[str]:
    """The large figures of the picture: clients, queue, pool, database."""
    return page.locator("#picture .big").all_text_contents()


@pytest.fixture
def busy(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Iterator[Forebay]:
    """Two proxies; through the first of them many clients work on few connections."""
    pool = {"max_connections_percent": 100 * CONNECTIONS // 97 + 1}
    forebay = start_forebay(postgres.port, database, pool=pool, others={"reports": postgres.port})
    with under_load(statements(CLIENTS, lambda _: psycopg.connect(forebay.dsn(), autocommit=True))):
        yield forebay


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1240, 900, "light"), (900, 900, "dark"), (390, 844, "light")]
)
def test_it_says_what_the_node_says(
    busy: Forebay, open_page: OpenPage, width: int, height: int, scheme: str
) -> None:
    watched = open_page(f"{busy.page}/", width=width, height=height, scheme=scheme)
    page = watched.page
    expect(page.locator("#picture .big").first).to_have_text(str(CLIENTS))
    told = api(busy, "now?proxy=app")
    limit = told["proxy"]["numbers"]["max_database_connections_allowed"]
    assert told["proxy"]["numbers"]["client_connections"] == CLIENTS
    assert limit == CONNECTIONS
    assert metric(busy, "forebay_client_connections") == CLIENTS
    assert metric(busy, "forebay_max_database_connections_allowed") == CONNECTIONS
    assert metric(busy, "forebay_database_connections") == CONNECTIONS
    expect(page.locator("#picture .big").nth(2)).to_have_text(
        re.compile(rf"^\d+ of {CONNECTIONS} in use$")
    )
    assert page.locator("#picture rect.slot").count() == CONNECTIONS
    expect(page.locator("#picture .big").last).to_have_text(re.compile(r"^[1-9][\d,]*$"))
    expect(page.locator("#state")).to_have_text("serving")
    limits = page.locator("#limits tbody tr").first
    expect(limits).to_contain_text("proxies.app.pool.max_connections_percent")
    expect(limits).to_contain_text(told["proxy"]["status"]["limit"])
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is too wide"
    assert page.locator("#charts canvas").count() == 4
    expect(page.locator("#chart-rates .plot")).to_have_attribute(
        "aria-label", re.compile(r"queries [1-9]")
    )
    is_fine(watched, busy)


def test_a_walk_through_it(busy: Forebay, open_page: OpenPage) -> None:
    watched = open_page(f"{busy.page}/")
    page = watched.page
    clients = page.locator("#picture .big").first
    expect(clients).to_have_text(str(CLIENTS))
    expect(page.get_by_role("link", name="app")).to_have_attribute("aria-current", "page")
    # Another proxy, and back by the browser's own button.
    page.get_by_role("link", name="reports").click()
    expect(clients).to_have_text("0")
    assert page.url.endswith("#proxy=reports")
    expect(page.locator("#holders + .nothing")).to_be_visible()
    page.go_back()
    expect(clients).to_have_text(str(CLIENTS))
    # A standstill.
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("status")).to_contain_text("Frozen")
    up = page.locator("#about").text_content()
    before = api(busy, "now")["at"]
    eventually(lambda: api(busy, "now")["at"] > before + 1, "the node has told something else")
    assert page.locator("#about").text_content() == up
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#about")).not_to_have_text(up or "")
    # The other colours, which are remembered.
    for theme, shown in (("light", "light"), ("dark", "dark")):
        page.get_by_role("button", name="Theme").click()
        expect(page.locator("#theme-name")).to_have_text(theme)
        expect(page.locator("html")).to_have_attribute("data-theme", shown)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    is_fine(watched, busy)


def test_by_keyboard(busy: Forebay, open_page: OpenPage) -> None:
    watched = open_page(f"{busy.page}/")
    page = watched.page
    expect(page.locator("#picture .big").first).to_have_text(str(CLIENTS))
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(e => [e.className || e.id || e.getAttribute('aria-labelledby') || e.textContent,"
                " getComputedStyle(e).outlineStyle])(document.activeElement)"
            )
        )
    names = [name for name, _ in reached]
    assert names[0] == "skip"
    assert [name.partition(" ")[0] for name in names[1:3]] == ["app", "reports"]
    assert names[3:5] == ["pause", "theme"]
    assert names[5:].count("scroll") == 5
    assert {outline for name, outline in reached if name != "BODY"} >= {"solid"}
    for landmark in ("banner", "main", "navigation", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1, landmark
    assert page.locator("table caption").count() == page.locator("table").count()
    is_fine(watched, busy)


def test_functions_that_do_not_commit(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: OpenPage,
) -> None:
    """A hundred on forty connections: who holds them, since when, who waits, and what helps."""
    functions, limit = 100, 40
    forebay = start_forebay(postgres.port, database, pool={"max_connections": limit})
    watched = open_page(f"{forebay.page}/")
    page = watched.page
    with contextlib.ExitStack() as stack:
        for number in range(functions):
            dsn = forebay.dsn(application_name="publisher" if number < limit else "late")
            client = stack.enter_context(contextlib.closing(psycopg.connect(dsn)))
            if number < limit:
                client.execute("SELECT 1")  # and no commit
            else:
                client.pgconn.send_query(b"SELECT 1")
        holders, waiters = page.locator("#holders tbody tr"), page.locator("#waiters tbody tr")
        expect(page.locator("#waiters-count")).to_have_text(f"{functions - limit}, the first 50")
        expect(waiters).to_have_count(50)
        expect(waiters.first).to_contain_text("late")
        expect(holders).to_have_count(limit)
        for row in (holders.first, holders.last):
            expect(row).to_contain_text("publisher")
            expect(row).to_contain_text("idle in transaction")
            expect(row.locator("th")).to_have_text(re.compile(r"^[\d.]+ (ms|s)$"))
        expect(page.locator("#sentence")).to_contain_text(f"{limit} idle in transaction")
        expect(page.locator("#hint")).to_contain_text("commit")
        expect(page).to_have_title(f"({functions - limit} wait) Forebay")
        assert metric(forebay, "forebay_clients_waiting") == functions - limit
        in_transaction = metric(forebay, "forebay_database_connections_currently_in_transaction")
        assert in_transaction == limit
        assert big(page)[:3] == ["100", "60", f"{limit} of {limit} in use"]
    expect(waiters).to_have_count(0)
    expect(page).to_have_title("Forebay")
    is_fine(watched, forebay)


def test_what_pins(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: OpenPage,
) -> None:
    forebay = start_forebay(postgres.port, database)
    watched = open_page(f"{forebay.page}/")
    page = watched.page
    with psycopg.connect(forebay.dsn(application_name="jobs"), autocommit=True) as client:
        client.execute("LISTEN news")
        row = page.locator("#pins tbody tr")
        expect(row).to_have_count(1)
        for text in ("LISTEN", "jobs", "listen news"):
            expect(row).to_contain_text(text)
        expect(page.locator("#pins-count")).to_have_text("1 pin now")
        expect(page.locator("#events")).to_contain_text("The client session was pinned")
    expect(page.locator("#pins-count")).to_have_text("")
    is_fine(watched, forebay)


NASTY = "<img src=x onerror=alert(1)>"
NASTY_USER = '"><script>alert(2)</script>'


def test_names_are_text(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: OpenPage,
) -> None:
    user = NASTY_USER + database.user[-6:]
    postgres.create_user(user, "pw")
    try:
        forebay = start_forebay(postgres.port, database, users={user: "pw"})
        watched = open_page(f"{forebay.page}/")
        page = watched.page
        dsn = forebay.dsn(user=user, application_name=NASTY)
        with psycopg.connect(dsn, autocommit=True) as client:
            client.execute("LISTEN news")
            row = page.locator("#holders tbody tr")
            expect(row).to_contain_text(NASTY)
            expect(row).to_contain_text(f"{user}@{database.name}")
            expect(page.locator("#pins tbody tr")).to_contain_text(NASTY)
        assert page.locator("td img, td script, li img, p img").count() == 0
        is_fine(watched, forebay)
    finally:
        postgres.sql(f"DROP ROLE {quoted(user)}")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_a_node_that_goes_and_comes_back(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: OpenPage,
) -> None:
    forebay = start_forebay(postgres.port, database)
    page = open_page(f"{forebay.page}/").page
    expect(page.locator("#state")).to_have_text("serving")
    expect(page.locator("#link")).to_be_hidden()
    assert forebay.stop() == 0
    expect(page.get_by_role("status")).to_contain_text("Connection lost, trying again")
    forebay.start()
    expect(page.locator("#link")).to_be_hidden(timeout=30_000)
    expect(page.locator("#source")).to_contain_text(f"process {forebay.pid}")


def test_a_worker_that_is_replaced(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: OpenPage,
) -> None:
    forebay = start_forebay(postgres.port, database)
    page = open_page(f"{forebay.page}/").page
    expect(page.locator("#state")).to_have_text("serving")
    (worker,) = forebay.worker_pids
    os.kill(worker, signal.SIGKILL)
    expect(page.locator("#about")).to_contain_text("1 × replaced")
    expect(page.locator("#events")).to_contain_text("was ended by signal 9")
    forebay.psql("SELECT 1").ok()
    expect(page.locator("#state")).to_have_text("serving", timeout=30_000)


def test_one_page_too_many(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: OpenPage,
) -> None:
    forebay = start_forebay(postgres.port, database)
    host, _, port = forebay.page.removeprefix("http://").partition(":")
    with contextlib.ExitStack() as others:
        for _ in range(MAX_VIEWERS):
            other = others.enter_context(socket.create_connection((host, int(port)), timeout=30))
            other.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(12) == b"HTTP/1.1 200"
        page = open_page(f"{forebay.page}/").page
        expect(page.get_by_role("status")).to_contain_text("Too many pages are open")
        expect(page.locator("#state")).to_have_text("serving")
    expect(page.locator("#link")).to_be_hidden(timeout=60_000)


def test_a_login(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: OpenPage,
) -> None:
    token = "0123456789abcdef"
    forebay = start_forebay(
        postgres.port,
        database,
        node={"control_token": "env:FOREBAY_TOKEN"},
        environ={"FOREBAY_TOKEN": token},
    )
    page = open_page(f"{forebay.page}/").page
    expect(page).to_have_url(f"{forebay.page}/login")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the token.")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#state")).to_have_text("serving")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{forebay.page}/login")
    page.goto(f"{forebay.page}/")
    expect(page).to_have_url(f"{forebay.page}/login")
