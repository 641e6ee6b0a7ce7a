"""How plans and samples are told."""

import io
import re

import msgspec
import pytest
from rich.console import Console

from forebay.cli.plan_report import (
    assumptions,
    conclusions,
    percentage,
    sample_lines,
    show,
    time_in_words,
)
from forebay.plan.clients import Clients, parse_clients
from forebay.plan.formulas import of_max_connections
from forebay.plan.planning import Goal, Waits, plan
from forebay.plan.sampling import Sample

WEB = Clients(name="web [red]", processes=100, hold_s=0.005, think_s=0.095)


def concluded(max_connections: int, percent: int) -> list[str]:
    made = plan([WEB], [of_max_connections(max_connections)], Goal(percent=percent))
    return [line.strip() for line in conclusions(made)]


def test_a_percentage_that_suffices() -> None:
    said = concluded(45, 90)
    assert said[0].startswith("Connections needed: 100 without a proxy; 7 with one, for 99 %")
    assert "max_connections 45 (as given), 3 reserved" in said
    assert "max_connections_percent = 90 suffices (17 % would do)." in said
    assert "If all 100 ask at the same moment, the last waits about 8.51 ms." in said


def test_a_percentage_that_does_not_suffice() -> None:
    said = concluded(45, 10)
    least = "7 connections would, which are 17 %."
    assert f"max_connections_percent = 10 does not suffice: {least}" in said
    assert any(line.startswith("Warning: Overloaded") for line in said)


def test_a_number_besides_the_percentage() -> None:
    for most, said in (
        (5, "The pool's max_connections = 5 does not suffice: 7 connections would"),
        (9, "The pool's max_connections = 9 suffices (17 % would do)."),
        (99, "max_connections_percent = 90 suffices (17 % would do)."),
    ):
        made = plan([WEB], [of_max_connections(45)], Goal(percent=90, max_connections=most))
        assert [each.limit for each in made.outlooks] == [min(most, 37)]
        assert any(line.strip().startswith(said) for line in conclusions(made))


def test_no_percentage_suffices() -> None:
    said = concluded(8, 100)
    assert "No percentage suffices: 7 connections are needed, 5 are not reserved." in said


def test_a_limit_that_is_in_force() -> None:
    capacity = msgspec.structs.replace(of_max_connections(45), allowed=20)
    measured = Waits(
        utilisation=0.26,
        transactions_per_s=1000,
        waits_share=0.01,
        wait_mean_s=0.00002,
        wait_p99_s=0.0003,
    )
    made = plan([WEB], [capacity, of_max_connections(45)], Goal(), measured)
    said = [line.strip() for line in conclusions(made)]
    assert "The limit of 20 connections suffices (17 % would do)." in said
    assert [each.measured for each in made.outlooks] == [measured, None]
    written = io.StringIO()
    show(made, Console(file=written, width=120))
    assert re.search(r"measured +│ +│ +26 % │ +1.0 % │ +20 µs │ +300 µs", written.getvalue())


def test_names_are_not_markup() -> None:
    written = io.StringIO()
    made = plan([WEB], [of_max_connections(45)], Goal())
    show(made, Console(file=written, width=120))
    assert "web [red]" in written.getvalue()
    assert "refuses 58" in written.getvalue()


def test_assumptions_are_told() -> None:
    clients = [parse_clients("a=1"), parse_clients("b=1,hold=1ms"), parse_clients("c=1,think=1s")]
    assert list(assumptions(clients)) == [
        "* assumed hold time: 5 ms in a transaction (a, c)",
        "* assumed think time: 95 ms between two (a, b)",
    ]
    assert list(assumptions([WEB])) == []


def test_a_sample() -> None:
    sample = Sample(
        looks=101,
        seconds=10.0,
        states={"active": 1.25, "idle": 20.0},
        hidden=2.5,
        transactions_per_s=123.4,
        clients=[WEB],
        notes=["web: too short to be met; planned with what so many looks may miss"],
    )
    said = [line.strip() for line in sample_lines(sample)]
    assert said[0] == "Sampled 101 times in 10.0 s."
    assert said[1].endswith("1.2 active, 20.0 idle")
    assert said[2].endswith("123.4 /s")
    assert said[3].startswith("2.5 sessions of other users are hidden")
    assert said[4].startswith("web: too short")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0"),
        (1e-8, "< 1 µs"),
        (5.2e-6, "5.2 µs"),
        (0.005, "5 ms"),
        (0.0999, "99.9 ms"),
        (0.9996, "1 s"),
        (12.345, "12.3 s"),
        (86400, "86400 s"),
    ],
)
def test_times(seconds: float, said: str) -> None:
    assert time_in_words(seconds) == said


def test_percentages() -> None:
    assert [percentage(each) for each in (0, 1e-6, 0.0012, 0.05, 0.9, 1)] == [
        *("0 %", "< 0.1 %", "0.1 %", "5.0 %", "90 %", "100 %"),
    ]
