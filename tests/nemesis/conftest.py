"""Fixtures of the nemesis; and the table of what was measured.

FOREBAY_TEST_NEMESIS=whole (`make nemesis`): 200 clients and many rounds instead of few;
FOREBAY_TEST_ROUNDS=5: ... but no more than these of each.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.harness import Forebay
from tests.nemesis.load import SMALL, WHOLE, Shape
from tests.nemesis.pair import LOGIN, Pair, Template
from tests.nemesis.rig import Result

VARIABLE = "FOREBAY_TEST_NEMESIS"
IS_WHOLE = os.environ.get(VARIABLE) == "whole"
MOST_ROUNDS = int(os.environ.get("FOREBAY_TEST_ROUNDS") or 1000)
POOL = 20  # database connections for all clients
REPORT = Path(__file__).parents[2] / "build" / "nemesis.json"
PROPERTY = "nemesis"
Note = Callable[..., None]
"""See ``note``."""


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    with Template() as made:
        yield made


@pytest.fixture
def pair(template: Template) -> Iterator[Pair]:
    """Two servers of this test's own."""
    with Pair(template) as both:
        yield both


@pytest.fixture
def shape() -> Shape:
    return WHOLE if IS_WHOLE else SMALL


@pytest.fixture
def rounds() -> Callable[[int], int]:
    """How many rounds: one in `make test`, so many in `make nemesis`."""
    return rounds_of


def rounds_of(whole: int, short: int = 1) -> int:
    """How often something is done."""
    return min(whole, MOST_ROUNDS) if IS_WHOLE else short


@pytest.fixture
def note(record_property: Callable[[str, Any], None]) -> Note:
    """Has a result in the table that stands at the end of `make nemesis`. ``first_success_ms``
    (p99) and ``stall_ms`` (the longest): what is aimed at; the table says what is missed."""

    def take(
        name: str,
        result: Result,
        first_success_ms: float | None = None,
        stall_ms: float | None = None,
    ) -> None:
        found = result.as_json()
        aims = (("first_success_ms", "p99", first_success_ms), ("stall_ms", "max", stall_ms))
        missed = [
            f"{key} {share} > {most:g}"
            for key, share, most in aims
            if most is not None and found[key].get(share, 0) > most
        ]
        aimed = {key: most for key, _, most in aims if most is not None}
        record_property(
            PROPERTY, json.dumps({"name": name, "aims": aimed, "missed": missed} | found)
        )

    return take


Section = dict[str, Any]


class Addressed(Protocol):
    """A server that can be reached."""

    @property
    def address(self) -> str: ...


class Servers(Protocol):
    """Those that a Forebay is to know."""

    @property
    def servers(self) -> Sequence[Addressed]: ...


def forebay_for(
    start_forebay: Callable[..., Forebay],
    pair: Servers,
    *,
    hosts: list[str] | None = None,
    proxy: Section | None = None,
    target: Section | None = None,
    pool: Section | None = None,
    **settings: Any,
) -> Forebay:
    """Starts one that knows both servers; keys of sections as for ``Forebay``; ``hosts``: where to
    find the two, if not at their own addresses."""
    return start_forebay(
        0,
        LOGIN,
        proxy={"require_tls": False, **(proxy or {})},
        target={
            "hosts": hosts or [server.address for server in pair.servers],
            "sslmode": "disable",
            "database": LOGIN.name,
            **(target or {}),
        },
        pool={"max_connections": POOL, **(pool or {})},
        **settings,
    )


@pytest.fixture
def watching_forebay(start_forebay: Callable[..., Forebay], pair: Pair) -> Callable[..., Forebay]:
    """`forebay_for` the pair of this test."""
    return functools.partial(forebay_for, start_forebay, pair)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In `make nemesis`: the table, and the same as JSON."""
    if not IS_WHOLE:
        return
    found = [
        json.loads(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not found:
        return
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n")
    terminalreporter.section("nemesis: times in ms, p50 / p99 / most")
    for line in table(found):
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"written to {REPORT}")


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines with the figures of each result."""
    head = ("", "rounds", "first success", "longest stall", "errors", "idle dropped", "lost", "dup")
    lines = [columns(*head, "missed")]
    for each in found:
        times = [
            " / ".join(f"{each[key].get(name, 0):.0f}" for name in ("p50", "p99", "max"))
            for key in ("first_success_ms", "stall_ms")
        ]
        errors = sum(each["errors"].values())
        lines.append(
            columns(
                *(each["name"], each["rounds"], *times, errors),
                *(each["idle_dropped"], each["lost"], each["dup"]),
                ", ".join(each["missed"]) or "–",
            )
        )
    return lines


def columns(*values: object) -> str:
    widths = (34, 7, 24, 26, 8, 14, 6, 6, 30)
    words = (f"{value!s:>{width}}" for value, width in zip(values[1:], widths[1:], strict=True))
    return f"{values[0]!s:{widths[0]}}{''.join(words)}"
