"""How the page writes numbers and times, and what it makes of states."""

from collections.abc import Callable
from typing import Any

import pytest

from forebay.embedded.postgres import Postgres
from tests.browser.conftest import Watched
from tests.harness import Forebay, TestDatabase

WORDS = {
    "count": [(None, "–"), (0, "0"), (12345, "12,345")],
    "number": [(0.12345, "0.123"), (1234.5, "1,235"), (None, "–")],
    "rate": [(0, "0"), (0.04, "0"), (3.14159, "3.1"), (1234.6, "1,235")],
    "milliseconds": [
        *((0.004, "0 ms"), (0.126, "0.13 ms"), (9.96, "9.96 ms"), (123.4, "123 ms")),
        *((1500, "1.5 s"), (None, "–")),
    ],
    "duration": [
        *((0, "0 ms"), (0.35, "350 ms"), (12.34, "12.3 s"), (252, "4 min 12 s")),
        *((7500, "2 h 05 min"), (273600, "3 d 4 h"), (None, "–")),
    ],
    "span": [(120, "120 s"), (1800, "30 min"), (86400, "24 h"), (0.5, "0.5 s")],
}
KINDS = {
    "active": "working",
    "idle": "working",
    "idle in transaction": "open",
    "idle in transaction (aborted)": "open",
    "idle, pinned (LISTEN, TEMPORARY_OBJECT)": "pinned",
    "stalled in a request": "stalled",
    "being cleaned": "cleaned",
    "unused": "unused",
    "waiting": "waiting",
}


@pytest.fixture
def module(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    open_page: Callable[..., Watched],
) -> Callable[..., Any]:
    """``module(name, function, values)``: what a function of a module of the page's makes."""
    forebay = start_forebay(postgres.port, database)
    page = open_page(f"{forebay.page}/").page

    def call(name: str, function: str, values: list[Any]) -> Any:
        return page.evaluate(
            "async ([name, f, values]) => values.map((await import(`./js/${name}.js`))[f])",
            [name, function, values],
        )

    return call


def test_words(module: Callable[..., Any]) -> None:
    for function, pairs in WORDS.items():
        assert module("words", function, [value for value, _ in pairs]) == [
            text for _, text in pairs
        ], function
    assert module("states", "kindOf", list(KINDS)) == list(KINDS.values())
