"""Limits from the server's settings and the pool's percentages."""

import pytest

from forebay.worker.pool.budget import Budget, parse_limits


@pytest.mark.parametrize(
    ("max_connections", "reserved", "percent", "idle_percent", "limit", "idle_limit"),
    [
        (100, 3, 90, 50, 87, 48),  # rounded down
        (100, 0, 100, 100, 100, 100),
        (48, 3, 100, 50, 45, 22),
        (10, 3, 1, 0, 1, 0),  # one is always allowed
        (3, 3, 100, 50, 1, 0),
        (2, 3, 100, 50, 1, 0),  # nonsense of the server does no harm
    ],
)
def test_percentages(
    max_connections: int,
    reserved: int,
    percent: int,
    idle_percent: int,
    limit: int,
    idle_limit: int,
) -> None:
    budget = Budget.of(max_connections, reserved, percent, idle_percent)
    assert (budget.limit, budget.idle_limit) == (limit, idle_limit)


@pytest.mark.parametrize(
    ("number", "limit", "idle_limit", "sentence"),
    [
        (None, 87, 48, "At most 87 database connections (90 % of 97 usable ones), 48 of them idle"),
        (200, 87, 48, "At most 87 database connections (90 % of 97 usable ones), 48 of them idle"),
        (
            20,
            20,
            20,
            (
                "At most 20 database connections (the pool's max_connections; 90 % of 97 usable"
                " ones would be 87), 20 of them idle"
            ),
        ),
    ],
)
def test_of_a_number_and_a_percentage_the_lower_holds(
    number: int | None, limit: int, idle_limit: int, sentence: str
) -> None:
    budget = Budget.of(100, 3, 90, 50, number)
    assert (budget.limit, budget.idle_limit, budget.share) == (limit, idle_limit, 87)
    assert budget.sentence(90) == sentence


def test_what_is_reserved_is_added_up() -> None:
    assert parse_limits(["100", "3", "2", "4"]) == (100, 9)
    assert parse_limits(["100", "3", "0", "0"]) == (100, 3)


@pytest.mark.parametrize(
    "row",
    [
        [],
        ["100", "3"],
        ["100", "3", "0", None],
        ["x", "3", "0", "0"],
        ["0", "3", "0", "0"],
        ["100", "-1", "0", "0"],
        ["", "", "", ""],
        ["1" * 5000, "0", "0", "0"],
    ],
)
def test_nonsense_is_a_value_error(row: list[str | None]) -> None:
    with pytest.raises(ValueError):
        parse_limits(row)
